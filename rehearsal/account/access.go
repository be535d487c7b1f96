package account

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

// roleDelay is how long it takes until a new role can be assumed. AWS says seconds; ten are what programs that wait for it
// wait. https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
const roleDelay = 10 * time.Second

// Credentials are a role's temporary credentials, as the platform hands them to what runs in the role.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	RoleARN                                    string
}

// AssumeRole gives credentials for a role to an AWS service that acts for one of its resources, if the role's trust policy
// lets it. (IAM-5)
func (a *Account) AssumeRole(roleARN, service, resourceARN string) (Credentials, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.assumable(roleARN, service, resourceARN); err != nil {
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

func (a *Account) assumable(roleARN, service, resourceARN string) error {
	role := a.find(tokenRole+"#arn", roleARN)
	if role == nil {
		return fmt.Errorf("role %s does not exist", roleARN)
	}
	// IAM-9
	if a.Clock.Now().Before(role.made.Add(roleDelay)) {
		return fmt.Errorf("%s was made less than %s ago and is not known everywhere yet", roleARN, roleDelay)
	}
	trust, err := parsePolicy(role.str("assumeRolePolicy"))
	if err != nil {
		return err
	}
	allowed, _ := trust.decide(request{
		action: "sts:AssumeRole", kind: "Service", principal: service,
		context: map[string]string{keySourceAccount: ID, keySourceARN: resourceARN, keySecureTransport: "true"},
	})
	if !allowed {
		return fmt.Errorf("%s does not trust %s", roleARN, service)
	}
	return nil
}

// A Caller is who asks one of AWS's APIs, and how.
type Caller struct {
	RoleARN string
	// Region is the API's.
	Region string
	// Endpoint is the VPC endpoint that the request came through; empty for none.
	Endpoint string
}

// Authorize says in AWS's words why a caller may not do an action on a resource; nil when it may. (IAM-6)
func (a *Account) Authorize(caller Caller, action, resource string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.authorize(caller, action, resource)
}

func (a *Account) authorize(caller Caller, action, resource string) error {
	role := a.find(tokenRole+"#arn", caller.RoleARN)
	if role == nil {
		return fmt.Errorf("role %s does not exist", caller.RoleARN)
	}
	asked := request{action: action, resource: resource, kind: "AWS", principal: caller.RoleARN, context: map[string]string{
		keySecureTransport: "true", keyPrincipalAccount: ID, keyPrincipalARN: caller.RoleARN, keyResourceAccount: ID, keyRequestedRegion: caller.Region,
	}}
	if caller.Endpoint != "" {
		asked.context[keySourceVPCE] = caller.Endpoint
	}
	refused := func(format string, args ...any) error {
		name := caller.RoleARN[strings.LastIndex(caller.RoleARN, "/")+1:]
		return fmt.Errorf("User: arn:aws:sts::%s:assumed-role/%s/rehearsal is not authorized to perform: %s on resource: %s %s",
			ID, name, action, resource, fmt.Sprintf(format, args...))
	}
	allowed := false
	for _, attached := range a.policiesOf(role.ID) {
		document, err := parsePolicy(attached.str("policy"))
		if err != nil {
			return err
		}
		allows, denies := document.decide(asked)
		if denies {
			return refused("with an explicit deny in an identity-based policy")
		}
		allowed = allowed || allows
	}
	if !allowed {
		return refused("because no identity-based policy allows the %s action", action)
	}
	return a.pass(caller.Endpoint, asked, refused)
}

// pass asks the policy of the endpoint that a request came through, which without one of its own lets everything through. (NET-8)
// https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html
func (a *Account) pass(endpoint string, asked request, refused func(string, ...any) error) error {
	through := a.find(tokenVPCEndpoint, endpoint)
	if through == nil || through.str("policy") == "" {
		return nil
	}
	document, err := parsePolicy(through.str("policy"))
	if err != nil {
		return err
	}
	switch allowed, denied := document.decide(asked); {
	case denied:
		return refused("with an explicit deny in a VPC endpoint policy")
	case !allowed:
		return refused("because no VPC endpoint policy allows the %s action", asked.action)
	default:
		return nil
	}
}
