package account

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// A policy is an IAM policy document, as far as the rehearsal evaluates it. What is in it and is not evaluated is refused when
// the policy is made. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
type policy struct {
	Version   string     `json:"Version"`
	ID        string     `json:"Id"`
	Statement statements `json:"Statement"`
}

type statement struct {
	Sid         string     `json:"Sid"`
	Effect      string     `json:"Effect"`
	Principal   principals `json:"Principal"`
	Action      oneOrMany  `json:"Action"`
	NotAction   oneOrMany  `json:"NotAction"`
	Resource    oneOrMany  `json:"Resource"`
	NotResource oneOrMany  `json:"NotResource"`
	Condition   conditions `json:"Condition"`
}

// statements are one or a list.
type statements []statement

// UnmarshalJSON takes both forms.
func (s *statements) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		*s = make(statements, 1)
		return decodeStrictly(data, &(*s)[0])
	}
	return decodeStrictly(data, (*[]statement)(s))
}

// oneOrMany is a value or a list of them, as the grammar allows in most places.
type oneOrMany []string

// UnmarshalJSON takes both forms, and the booleans and numbers that conditions may hold.
func (m *oneOrMany) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] != '[' {
		data = slices.Concat([]byte{'['}, data, []byte{']'})
	}
	var values []any
	if err := json.Unmarshal(data, &values); err != nil {
		return err
	}
	for _, value := range values {
		switch value.(type) {
		case string, bool, float64:
			*m = append(*m, fmt.Sprint(value))
		default:
			return fmt.Errorf("%v is no string", value)
		}
	}
	return nil
}

// principals are of kinds such as Service and AWS, or "*".
type principals map[string]oneOrMany

// UnmarshalJSON takes "*" for everybody.
func (p *principals) UnmarshalJSON(data []byte) error {
	if string(data) == `"*"` {
		*p = principals{"*": {"*"}}
		return nil
	}
	return json.Unmarshal(data, (*map[string]oneOrMany)(p))
}

// include says whether a principal of a kind is among them.
func (p principals) include(kind, who string) bool {
	return p["*"] != nil || slices.Contains(p[kind], who) || slices.Contains(p[kind], "*") && kind == "AWS"
}

func decodeStrictly(data []byte, into any) error {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// parsePolicy refuses what IAM refuses in all policies, and what the rehearsal does not evaluate, by name. (IAM-7)
func parsePolicy(document string) (policy, error) {
	var p policy
	if err := decodeStrictly([]byte(document), &p); err != nil {
		return p, fmt.Errorf("syntax errors in policy, or an element that the rehearsal does not evaluate: %w", err)
	}
	if p.Version != "2012-10-17" && p.Version != "2008-10-17" {
		return p, fmt.Errorf("the policy must contain a valid version string")
	}
	if len(p.Statement) == 0 {
		return p, fmt.Errorf("the policy must contain a statement")
	}
	for _, s := range p.Statement {
		if err := s.check(); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (s statement) check() error {
	switch {
	case s.Effect != "Allow" && s.Effect != "Deny":
		return fmt.Errorf("invalid effect: %s", s.Effect)
	case len(s.Action) == 0 && len(s.NotAction) == 0:
		return fmt.Errorf("the policy statement must contain actions")
	case len(s.Action) > 0 && len(s.NotAction) > 0:
		return fmt.Errorf("the policy statement must not contain both Action and NotAction")
	case len(s.Resource) > 0 && len(s.NotResource) > 0:
		return fmt.Errorf("the policy statement must not contain both Resource and NotResource")
	}
	for _, action := range slices.Concat(s.Action, s.NotAction) {
		if action != "*" && !strings.Contains(action, ":") {
			return fmt.Errorf("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
		}
	}
	for _, target := range slices.Concat(s.Resource, s.NotResource) {
		if target != "*" && !strings.HasPrefix(target, "arn:") {
			return fmt.Errorf("Resource %s must be in ARN format or \"*\".", target)
		}
		if strings.Contains(target, "${") {
			return fmt.Errorf("the rehearsal does not evaluate the policy variable in %s", target)
		}
	}
	return s.Condition.check()
}

// A request is what a policy is asked about.
type request struct {
	action, resource string
	// principal is who asks: a service, when kind is Service, or a role.
	kind, principal string
	// context holds the condition keys, in lower case.
	context map[string]string
}

// decide says what a policy's statements say to a request. (IAM-6)
func (p policy) decide(r request) (allowed, denied bool) {
	for _, s := range p.Statement {
		if !s.covers(r) {
			continue
		}
		if s.Effect == "Deny" {
			denied = true
		} else {
			allowed = true
		}
	}
	return allowed && !denied, denied
}

func (s statement) covers(r request) bool {
	if s.Principal != nil && !s.Principal.include(r.kind, r.principal) {
		return false
	}
	// Names of actions are the same in upper and in lower case.
	action := func(pattern string) bool { return wildcard(strings.ToLower(pattern), strings.ToLower(r.action)) }
	resource := func(pattern string) bool { return wildcard(pattern, r.resource) }
	return either(s.Action, s.NotAction, action) && either(s.Resource, s.NotResource, resource) && s.Condition.hold(r.context)
}

// either matches one of some patterns or, without any, none of the others.
func either(some, none oneOrMany, match func(string) bool) bool {
	if len(some) > 0 {
		return slices.ContainsFunc(some, match)
	}
	return !slices.ContainsFunc(none, match)
}

// wildcard matches IAM's * and ?, which, unlike a shell's, cross slashes.
func wildcard(pattern, value string) bool {
	flat := strings.NewReplacer("/", "\x00", `\`, `\\`, "[", `\[`)
	matched, err := path.Match(flat.Replace(pattern), strings.ReplaceAll(value, "/", "\x00"))
	return err == nil && matched
}
