package account

import (
	"encoding/json"
	"fmt"
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
			for _, policy := range c.a.of(tokenRolePolicy) {
				if policy.str("role") == c.ID {
					return c.refusal("DeleteRole", "DeleteConflict", "Cannot delete entity, must delete policies first.")
				}
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

// IAM-2
func checkTrust(c *call) error {
	document, err := parsePolicy(c.str("assumeRolePolicy"))
	if err != nil {
		return c.refusal(c.kind.create, "MalformedPolicyDocument", err.Error())
	}
	for _, s := range document.Statement {
		if len(s.Principal) == 0 {
			return c.refusal(c.kind.create, "MalformedPolicyDocument", "Missing required field Principal")
		}
		if len(s.Resource) > 0 {
			return c.refusal(c.kind.create, "MalformedPolicyDocument", "Has prohibited field Resource")
		}
	}
	return nil
}

// IAM-3
func checkPermissions(c *call) error {
	document, err := parsePolicy(c.str("policy"))
	if err != nil {
		return c.refusal(c.kind.create, "MalformedPolicyDocument", err.Error())
	}
	for _, s := range document.Statement {
		if len(s.Principal) > 0 {
			return c.refusal(c.kind.create, "MalformedPolicyDocument", "Policy document should not specify a principal.")
		}
		if len(s.Resource) == 0 {
			return c.refusal(c.kind.create, "MalformedPolicyDocument", "Policy statement must contain resources.")
		}
		for _, action := range s.Action {
			if action != "*" && !strings.Contains(action, ":") {
				return c.refusal(c.kind.create, "MalformedPolicyDocument", "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
			}
		}
		for _, target := range s.Resource {
			if target != "*" && !strings.HasPrefix(target, "arn:") {
				return c.refusal(c.kind.create, "MalformedPolicyDocument", fmt.Sprintf("Resource %s must be in ARN format or \"*\".", target))
			}
		}
	}
	return nil
}

// A policy is an IAM policy document, as far as the rehearsal understands it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
type policy struct {
	Version   string      `json:"Version"`
	ID        string      `json:"Id"`
	Statement []statement `json:"Statement"`
}

type statement struct {
	Sid       string               `json:"Sid"`
	Effect    string               `json:"Effect"`
	Principal map[string]oneOrMany `json:"Principal"`
	Action    oneOrMany            `json:"Action"`
	Resource  oneOrMany            `json:"Resource"`
}

// oneOrMany is a string or a list of strings, as the grammar allows in most places.
type oneOrMany []string

func (m *oneOrMany) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*m = make(oneOrMany, 1)
		return json.Unmarshal(data, &(*m)[0])
	}
	return json.Unmarshal(data, (*[]string)(m))
}

func parsePolicy(document string) (policy, error) {
	var p policy
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return p, fmt.Errorf("syntax errors in policy, or an element that the rehearsal does not evaluate: %w", err)
	}
	if p.Version != "2012-10-17" && p.Version != "2008-10-17" {
		return p, fmt.Errorf("the policy must contain a valid version string")
	}
	if len(p.Statement) == 0 {
		return p, fmt.Errorf("the policy must contain a statement")
	}
	for _, s := range p.Statement {
		if s.Effect != "Allow" && s.Effect != "Deny" {
			return p, fmt.Errorf("invalid effect: %s", s.Effect)
		}
		if len(s.Action) == 0 {
			return p, fmt.Errorf("the policy statement must contain actions")
		}
	}
	return p, nil
}
