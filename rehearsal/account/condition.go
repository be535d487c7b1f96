package account

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// conditions are a statement's, by operator and then by key. All must hold, each for one of its values.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition.html
type conditions map[string]map[string]oneOrMany

// An operator compares a value in a policy with the request's. A negated one holds when no value matches, and when the request
// has no such key.
type operator struct {
	matches func(pattern, value string) bool
	negated bool
}

var conditionOperators = map[string]operator{
	"StringEquals":              {func(pattern, value string) bool { return pattern == value }, false},
	"StringNotEquals":           {func(pattern, value string) bool { return pattern == value }, true},
	"StringEqualsIgnoreCase":    {strings.EqualFold, false},
	"StringNotEqualsIgnoreCase": {strings.EqualFold, true},
	"StringLike":                {wildcard, false},
	"StringNotLike":             {wildcard, true},
	"ArnEquals":                 {likeARN, false},
	"ArnNotEquals":              {likeARN, true},
	"ArnLike":                   {likeARN, false},
	"ArnNotLike":                {likeARN, true},
	"Bool":                      {strings.EqualFold, false},
}

// null is the operator that asks whether the request has a key.
const null = "Null"

// notEvaluated are the conditionOperators that IAM has besides.
var notEvaluated = []string{
	"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals",
	"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals",
	"BinaryEquals", "IpAddress", "NotIpAddress",
}

// The condition keys that the account's requests have, or are known not to have, in lower case.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
const (
	keySourceAccount    = "aws:sourceaccount"
	keySourceARN        = "aws:sourcearn"
	keySecureTransport  = "aws:securetransport"
	keyPrincipalAccount = "aws:principalaccount"
	keyPrincipalARN     = "aws:principalarn"
	keyResourceAccount  = "aws:resourceaccount"
	keyRequestedRegion  = "aws:requestedregion"
	keySourceVPCE       = "aws:sourcevpce"
	keyPassedToService  = "iam:passedtoservice"
)

var conditionKeys = []string{
	keySourceAccount, keySourceARN, keySecureTransport, keyPrincipalAccount, keyPrincipalARN, keyResourceAccount, keyRequestedRegion,
	keySourceVPCE, keyPassedToService,
}

// check refuses what cannot be evaluated, by name. (IAM-7)
func (c conditions) check() error {
	for _, name := range slices.Sorted(maps.Keys(c)) {
		base := strings.TrimSuffix(name, ifExists)
		_, known := conditionOperators[base]
		switch {
		case known || name == null:
		case strings.Contains(name, ":") || slices.Contains(notEvaluated, base):
			return fmt.Errorf("the rehearsal does not evaluate the condition operator %s", name)
		default:
			return fmt.Errorf("Invalid Condition type : %s", name)
		}
		for _, key := range slices.Sorted(maps.Keys(c[name])) {
			if !slices.Contains(conditionKeys, strings.ToLower(key)) {
				return fmt.Errorf("the rehearsal does not evaluate the condition key %s", key)
			}
			for _, value := range c[name][key] {
				if strings.Contains(value, "${") {
					return fmt.Errorf("the rehearsal does not evaluate the policy variable in %s", value)
				}
			}
		}
	}
	return nil
}

const ifExists = "IfExists"

func (c conditions) hold(context map[string]string) bool {
	for name, keys := range c {
		for key, values := range keys {
			value, present := context[strings.ToLower(key)]
			if !holds(name, values, value, present) {
				return false
			}
		}
	}
	return true
}

func holds(name string, values oneOrMany, value string, present bool) bool {
	if name == null {
		return slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, fmt.Sprint(!present)) })
	}
	base, optional := strings.CutSuffix(name, ifExists)
	op := conditionOperators[base]
	if !present {
		return optional || op.negated
	}
	return slices.ContainsFunc(values, func(v string) bool { return op.matches(v, value) }) != op.negated
}

// likeARN compares the six parts of two ARNs, each with wildcards of its own.
func likeARN(pattern, value string) bool {
	patterns, values := strings.SplitN(pattern, ":", 6), strings.SplitN(value, ":", 6)
	if len(patterns) != 6 || len(values) != 6 {
		return false
	}
	for i := range patterns {
		if !wildcard(patterns[i], values[i]) {
			return false
		}
	}
	return true
}
