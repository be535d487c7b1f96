// Package iampolicy writes IAM policy documents from typed statements. Resources are ARNs that AWS gave out, or are made
// of such, never written here, so the documents hold in every partition.
package iampolicy

import (
	"encoding/json"
	"fmt"
)

// Everything is the resource of the few actions that AWS cannot restrict to one resource.
const Everything = "*"

// version is the current policy language.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html
const version = "2012-10-17"

const allow = "Allow"

// Document is a policy that allows what its statements list and nothing else.
type Document struct {
	Version   string
	Statement []Statement
}

// Statement is one permission. Principal is set in trust policies only, Resource in all others.
type Statement struct {
	Effect    string
	Principal *Principal `json:",omitempty"`
	Action    []string
	Resource  []string `json:",omitempty"`
}

// Principal is who may assume a role.
type Principal struct {
	Service string
}

// Allow permits actions on one resource.
func Allow(resource string, actions ...string) Statement {
	return Statement{Effect: allow, Action: actions, Resource: []string{resource}}
}

// Permissions is what the holder of a role may do.
func Permissions(statements ...Statement) Document {
	return Document{Version: version, Statement: statements}
}

// Trust lets an AWS service, such as "tasks.apprunner.amazonaws.com", assume a role.
func Trust(service string) Document {
	return Document{Version: version, Statement: []Statement{{
		Effect:    allow,
		Principal: &Principal{Service: service},
		Action:    []string{"sts:AssumeRole"},
	}}}
}

// JSON is the document as AWS reads it.
func (d Document) JSON() (string, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("policy document: %w", err)
	}
	return string(text), nil
}
