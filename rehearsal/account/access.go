package account

import (
	"crypto/rand"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Credentials are a role's temporary credentials, as the platform hands them to what runs in the role.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	RoleARN                                    string
}

// AssumeRole gives credentials for a role to an AWS service, if the role's trust policy lets it. (IAM-5)
func (a *Account) AssumeRole(roleARN, service string) (Credentials, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.assumable(roleARN, service); err != nil {
		return Credentials{}, err
	}
	c := Credentials{AccessKeyID: "ASIA" + rand.Text()[:16], SecretAccessKey: rand.Text() + rand.Text(), SessionToken: rand.Text(), RoleARN: roleARN}
	a.sessions[c.AccessKeyID] = c
	return c, nil
}

// Session is who an access key belongs to; false for a key that this account did not give out, so that
// real credentials are worth nothing here.
func (a *Account) Session(accessKeyID string) (Credentials, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, known := a.sessions[accessKeyID]
	return c, known
}

func (a *Account) assumable(roleARN, service string) error {
	role := a.find(tokenRole+"#arn", roleARN)
	if role == nil {
		return fmt.Errorf("role %s does not exist", roleARN)
	}
	trust, err := parsePolicy(role.str("assumeRolePolicy"))
	if err != nil {
		return err
	}
	for _, s := range trust.Statement {
		if s.Effect == "Allow" && slices.Contains(s.Action, "sts:AssumeRole") && slices.Contains(s.Principal["Service"], service) {
			return nil
		}
	}
	return fmt.Errorf("%s does not trust %s", roleARN, service)
}

// Authorize says in AWS's words why a role may not do an action on a resource; nil when it may. (IAM-6)
func (a *Account) Authorize(roleARN, action, resource string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.authorize(roleARN, action, resource)
}

func (a *Account) authorize(roleARN, action, resource string) error {
	role := a.find(tokenRole+"#arn", roleARN)
	if role == nil {
		return fmt.Errorf("role %s does not exist", roleARN)
	}
	allowed := false
	for _, attached := range a.of(tokenRolePolicy) {
		if attached.str("role") != role.ID {
			continue
		}
		document, err := parsePolicy(attached.str("policy"))
		if err != nil {
			return err
		}
		for _, s := range document.Statement {
			if !s.covers(action, resource) {
				continue
			}
			if s.Effect == "Deny" {
				return fmt.Errorf("User: %s is not authorized to perform: %s on resource: %s with an explicit deny in an identity-based policy", assumed(roleARN), action, resource)
			}
			allowed = true
		}
	}
	if !allowed {
		return fmt.Errorf("User: %s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action", assumed(roleARN), action, resource, action)
	}
	return nil
}

func (s statement) covers(action, resource string) bool {
	matches := func(patterns oneOrMany, value string) bool {
		return slices.ContainsFunc(patterns, func(pattern string) bool { return wildcard(pattern, value) })
	}
	return matches(s.Action, action) && matches(s.Resource, resource)
}

// wildcard matches IAM's * and ?, which, unlike a shell's, cross slashes.
func wildcard(pattern, value string) bool {
	flat := strings.NewReplacer("/", "\x00", `\`, `\\`, "[", `\[`)
	matched, err := path.Match(flat.Replace(pattern), strings.ReplaceAll(value, "/", "\x00"))
	return err == nil && matched
}

func assumed(roleARN string) string {
	name := roleARN[strings.LastIndex(roleARN, "/")+1:]
	return fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/rehearsal", ID, name)
}
