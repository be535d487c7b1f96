package stack

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// settings reads one key after the other and gathers what is wrong with them.
type settings struct {
	project   string
	get       func(key string) (string, bool)
	shown     map[string]string // every key that was read, with the value in force
	malformed []string
	problems  []error
}

func newSettings(project string, get func(key string) (string, bool)) *settings {
	return &settings{project: project, get: get, shown: map[string]string{}}
}

// kind is how a value is written.
type kind[T any] struct {
	description string
	parse       func(string) (T, error)
}

// setting reads one key. The fallback stands in for a missing value, never for a malformed one.
func setting[T any](s *settings, key string, fallback T, as kind[T]) T {
	written, ok := s.get(s.full(key))
	if !ok {
		s.shown[key] = fmt.Sprint(fallback)
		return fallback
	}
	s.shown[key] = strconv.Quote(written)
	value, err := as.parse(written)
	if err != nil {
		s.malformed = append(s.malformed, key)
		s.problem("must be "+as.description, key)
		return fallback
	}
	return value
}

// require reports a broken rule, unless one of its keys is malformed and was reported already.
func (s *settings) require(kept bool, rule string, keys ...string) {
	reported := slices.ContainsFunc(keys, func(key string) bool { return slices.Contains(s.malformed, key) })
	if !kept && !reported {
		s.problem(rule, keys...)
	}
}

func (s *settings) problem(rule string, keys ...string) {
	values := make([]string, len(keys))
	for i, key := range keys {
		values[i] = s.full(key) + " is " + s.shown[key]
	}
	s.problems = append(s.problems, fmt.Errorf("%s: %s", strings.Join(values, ", "), rule))
}

// refuseUnknown reports the names that look like settings and are none.
func (s *settings) refuseUnknown(names []string) {
	for _, name := range names {
		namespace, key, _ := strings.Cut(name, ":")
		if _, known := s.shown[name]; known {
			continue
		}
		if _, known := s.shown[key]; namespace == s.project && !known {
			s.problems = append(s.problems, fmt.Errorf("%s is not a setting: did you mean %s?", name, s.full(s.nearest(key))))
		}
		// Pulumi hands these to its default provider only, and this program never uses that one.
		if namespace == "aws" {
			s.problems = append(s.problems, fmt.Errorf(
				"%s is not a setting: all but %s comes from the environment, such as AWS_PROFILE", name, keyRegion))
		}
	}
}

func (s *settings) nearest(key string) string {
	best, least := "", len(key)+1
	for _, known := range slices.Sorted(maps.Keys(s.shown)) {
		if d := distance(strings.ToLower(key), strings.ToLower(known)); best == "" || d < least {
			best, least = known, d
		}
	}
	return best
}

func (s *settings) full(key string) string {
	if strings.Contains(key, ":") {
		return key
	}
	return s.project + ":" + key
}

// distance is how many letters have to be added, removed or changed to make one word of the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
