package docker

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A recipe is what a Dockerfile's last stage makes: files from the stages before, and how to run them. (DOC-7)
// https://docs.docker.com/reference/dockerfile/
type recipe struct {
	copies []copied
	config v1.Config
	// program is where the build puts the program, before it is copied.
	program string
}

// A copied is a file of another stage, and where it is in the image.
type copied struct{ from, to string }

// buildCommand finds the program in the line that builds it.
var buildCommand = regexp.MustCompile(`\bbuild\.sh\s+(\S+)`)

// readRecipe reads a Dockerfile. What it does not know, in the stage that becomes the image, it refuses.
func readRecipe(dockerfile string, args map[string]string) (recipe, error) {
	r := recipe{config: v1.Config{Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}}
	if found := buildCommand.FindStringSubmatch(dockerfile); found != nil {
		r.program = found[1]
	}
	lines := instructions(dockerfile)
	last := -1
	for i, line := range lines {
		if keyword, _ := split(line); keyword == "FROM" {
			last = i
		}
	}
	if last < 0 {
		return r, fmt.Errorf("the Dockerfile has no FROM")
	}
	if _, base := split(lines[last]); base != "scratch" {
		return r, fmt.Errorf("the Dockerfile's last stage is FROM %s: the rehearsal builds FROM scratch only", base)
	}
	for _, line := range lines[last+1:] {
		if err := r.add(line, args); err != nil {
			return r, fmt.Errorf("the Dockerfile's line %q: %w", line, err)
		}
	}
	return r, nil
}

func (r *recipe) add(line string, args map[string]string) error {
	keyword, rest := split(line)
	expanded := os.Expand(rest, func(name string) string { return args[name] })
	switch keyword {
	case "ARG":
	case "USER":
		r.config.User = expanded
	case "WORKDIR":
		r.config.WorkingDir = expanded
	case "EXPOSE":
		r.config.ExposedPorts = map[string]struct{}{}
		for port := range strings.FieldsSeq(expanded) {
			if !strings.Contains(port, "/") {
				port += "/tcp"
			}
			r.config.ExposedPorts[port] = struct{}{}
		}
	case "ENV", "LABEL":
		return r.describe(keyword, expanded)
	case "ENTRYPOINT", "CMD":
		var words []string
		if err := json.Unmarshal([]byte(rest), &words); err != nil {
			return fmt.Errorf("without a shell in the image it must be a list of strings: %w", err)
		}
		if keyword == "CMD" {
			r.config.Cmd = words
		} else {
			r.config.Entrypoint = words
		}
	case "COPY":
		fields := strings.Fields(expanded)
		if len(fields) != 3 || !strings.HasPrefix(fields[0], "--from=") {
			return fmt.Errorf("the rehearsal knows only COPY --from=STAGE FILE FILE")
		}
		r.copies = append(r.copies, copied{fields[1], fields[2]})
	default:
		return fmt.Errorf("the rehearsal does not know %s in the stage that becomes the image", keyword)
	}
	return nil
}

// describe takes one NAME=VALUE.
func (r *recipe) describe(keyword, pair string) error {
	name, value, found := strings.Cut(pair, "=")
	value = strings.Trim(value, `"`)
	if !found || strings.ContainsAny(value, " \"") {
		return fmt.Errorf("the rehearsal knows only one NAME=VALUE without spaces a line")
	}
	if keyword == "LABEL" {
		if r.config.Labels == nil {
			r.config.Labels = map[string]string{}
		}
		r.config.Labels[name] = value
		return nil
	}
	r.config.Env = append(r.config.Env, name+"="+value)
	return nil
}

// instructions are a Dockerfile's, each on one line, without comments.
func instructions(dockerfile string) []string {
	var whole []string
	for line := range strings.Lines(dockerfile) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			whole = append(whole, line)
		}
	}
	joined := strings.ReplaceAll(strings.Join(whole, "\n"), "\\\n", " ")
	return slices.DeleteFunc(strings.Split(joined, "\n"), func(line string) bool { return line == "" })
}

func split(line string) (keyword, rest string) {
	keyword, rest, _ = strings.Cut(line, " ")
	return strings.ToUpper(keyword), strings.TrimSpace(rest)
}
