package httpapi

import (
	"strings"

	"example.com/todo/service/task"
)

// entityTags are what If-Match or If-None-Match lists: RFC 9110, 8.8.3 and 13.1.
type entityTags struct {
	given bool
	any   bool // *
	tags  []entityTag
}

type entityTag struct {
	opaque string
	weak   bool
}

const (
	// maxTags is more than any client has versions of one task to name.
	maxTags  = 32
	tagsRule = `must be * or a list of at most 32 entity tags such as "abc"`
)

func (p *entityTags) parse(text string) (rule string) {
	rest := trimOWS(text)
	if rest == "*" {
		*p = entityTags{given: true, any: true}
		return ""
	}
	tags := []entityTag{}
	for rest != "" {
		if after, ok := strings.CutPrefix(rest, ","); ok { // an empty element: RFC 9110, 5.6.1.2
			rest = trimOWS(after)
			continue
		}
		opaque, weak := strings.CutPrefix(rest, "W/")
		opaque, open := strings.CutPrefix(opaque, `"`)
		opaque, after, closed := strings.Cut(opaque, `"`)
		after = trimOWS(after)
		if !open || !closed || strings.ContainsFunc(opaque, notTag) || after != "" && after[0] != ',' {
			return tagsRule
		}
		tags = append(tags, entityTag{opaque, weak})
		rest = after
	}
	if len(tags) == 0 || len(tags) > maxTags {
		return tagsRule
	}
	*p = entityTags{given: true, tags: tags}
	return ""
}

func (entityTags) schema() schema {
	return schema{Type: "string", Examples: []any{"*", `"660e6e3c381ec-6efe7c2fd6979afa"`}}
}

func trimOWS(s string) string { return strings.Trim(s, " \t") }

func notTag(r rune) bool { return r <= ' ' || r == 0x7f }

// versions are those that If-Match admits, nil for all: a task that is not there is
// missing with or without the header (RFC 9110, 13.2.1). Only strong tags count.
func (p entityTags) versions() []task.Version {
	if !p.given || p.any {
		return nil
	}
	admitted := []task.Version{}
	for _, tag := range p.tags {
		if !tag.weak {
			admitted = append(admitted, task.Version(tag.opaque))
		}
	}
	return admitted
}

// include says whether If-None-Match lists the version, strong or weak.
func (p entityTags) include(v task.Version) bool {
	for _, tag := range p.tags {
		if tag.opaque == string(v) {
			return true
		}
	}
	return p.any
}
