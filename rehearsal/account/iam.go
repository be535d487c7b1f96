package account

import (
	"fmt"
	"slices"
	"strings"

	"example.com/todo/rehearsal/schema"
)

const (
	tokenRole       = "aws:iam/role:Role"
	tokenRolePolicy = "aws:iam/rolePolicy:RolePolicy"
)

var roleName = []schema.Rule{schema.Match(`^[\w+=,.@-]*$`, "must match [\\w+=,.@-]")}

var roles = []*kind{
	{
		Type: &schema.Type{
			Token: tokenRole, Tagged: true, AutoName: "name", MaxName: 64,
			Inputs: withTags(schema.Properties{
				"name":                {Kind: schema.String, Replaces: true, Check: append([]schema.Rule{schema.Length(1, 64)}, roleName...)},
				"assumeRolePolicy":    {Kind: schema.String, Required: true, Check: []schema.Rule{schema.JSON}},
				"description":         {Kind: schema.String, Check: []schema.Rule{schema.Length(0, 1000)}},
				"path":                {Kind: schema.String, Replaces: true, Default: "/"},
				"maxSessionDuration":  {Kind: schema.Number, Default: 3600.0, Check: []schema.Rule{schema.Between(3600, 43200)}},
				"forceDetachPolicies": {Kind: schema.Bool, Default: false},
			}),
			Outputs: schema.Properties{"arn": text, "uniqueId": text, "createDate": text},
		},
		service: "IAM", noun: "Role", create: "CreateRole", update: "UpdateAssumeRolePolicy", destroy: "DeleteRole",
		invalid: "ValidationError", missing: "NoSuchEntity",
		made: func(c *call) error {
			// IAM-1
			for _, other := range c.a.of(tokenRole) {
				if strings.EqualFold(other.ID, c.str("name")) {
					return c.refusal("CreateRole", "EntityAlreadyExists", fmt.Sprintf("Role with name %s already exists.", c.str("name")))
				}
			}
			if err := checkTrust(c); err != nil {
				return err
			}
			number := c.ID
			c.ID = c.str("name")
			c.set("arn", fmt.Sprintf("arn:aws:iam::%s:role%s%s", ID, c.str("path"), c.ID))
			c.set("uniqueId", "AROA"+strings.ToUpper(number[:17]))
			c.set("createDate", "2026-01-01T00:00:00Z")
			return nil
		},
		changed: checkTrust,
		refuse: func(c *call) error {
			// IAM-4
			if len(c.a.policiesOf(c.ID)) > 0 {
				return c.refusal("DeleteRole", "DeleteConflict", "Cannot delete entity, must delete policies first.")
			}
			return nil
		},
	},
	{
		Type: &schema.Type{
			Token: tokenRolePolicy, AutoName: "name", MaxName: 128,
			Inputs: schema.Properties{
				"name":   {Kind: schema.String, Replaces: true, Check: append([]schema.Rule{schema.Length(1, 128)}, roleName...)},
				"role":   {Kind: schema.String, Required: true, Replaces: true, Refers: tokenRole},
				"policy": {Kind: schema.String, Required: true, Check: []schema.Rule{schema.JSON}},
			},
		},
		service: "IAM", noun: "Role Policy", create: "PutRolePolicy", update: "PutRolePolicy", destroy: "DeleteRolePolicy",
		invalid: "ValidationError", missing: "NoSuchEntity",
		made: func(c *call) error {
			c.ID = c.str("role") + ":" + c.str("name")
			return checkPermissions(c)
		},
		changed: checkPermissions,
	},
}

// The longest policies of a role, white space apart. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const (
	longestTrust  = 2048
	longestInline = 10240
)

// IAM-2
func checkTrust(c *call) error {
	malformed := func(format string, args ...any) error {
		return c.refusal(c.operation(), "MalformedPolicyDocument", fmt.Sprintf(format, args...))
	}
	document, err := parsePolicy(c.str("assumeRolePolicy"))
	if err != nil {
		return malformed("%v", err)
	}
	// IAM-8
	if size(c.str("assumeRolePolicy")) > longestTrust {
		return c.refusal(c.operation(), "LimitExceeded", fmt.Sprintf("Cannot exceed quota for ACLSizePerRole: %d", longestTrust))
	}
	for _, s := range document.Statement {
		if len(s.Principal) == 0 {
			return malformed("Missing required field Principal")
		}
		if len(s.Resource) > 0 || len(s.NotResource) > 0 {
			return malformed("Has prohibited field Resource")
		}
		for _, service := range s.Principal["Service"] {
			if !strings.HasSuffix(service, ".amazonaws.com") {
				return malformed("Invalid principal in policy: \"SERVICE\":%q", service)
			}
		}
		for _, arn := range s.Principal["AWS"] {
			if strings.HasPrefix(arn, "arn:aws:iam::"+ID+":role/") && c.a.find(tokenRole+"#arn", arn) == nil {
				return malformed("Invalid principal in policy: \"AWS\":%q", arn)
			}
		}
	}
	return nil
}

// IAM-3
func checkPermissions(c *call) error {
	malformed := func(text string) error { return c.refusal(c.kind.create, "MalformedPolicyDocument", text) }
	document, err := parsePolicy(c.str("policy"))
	if err != nil {
		return malformed(err.Error())
	}
	for _, s := range document.Statement {
		if len(s.Principal) > 0 {
			return malformed("Policy document should not specify a principal.")
		}
		if len(s.Resource) == 0 && len(s.NotResource) == 0 {
			return malformed("Policy statement must contain resources.")
		}
	}
	// IAM-8
	total := 0
	for _, attached := range c.a.policiesOf(c.str("role")) {
		if attached != c.Resource {
			total += size(attached.str("policy"))
		}
	}
	if total+size(c.str("policy")) > longestInline {
		return c.refusal(c.kind.create, "LimitExceeded", fmt.Sprintf("Maximum policy size of %d bytes exceeded for role %s", longestInline, c.str("role")))
	}
	return nil
}

func size(document string) int {
	return len(strings.Join(strings.Fields(document), ""))
}

// policiesOf are the policies in a role.
func (a *Account) policiesOf(role string) []*Resource {
	return slices.DeleteFunc(a.of(tokenRolePolicy), func(policy *Resource) bool { return policy.str("role") != role })
}
