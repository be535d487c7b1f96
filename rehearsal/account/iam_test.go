package account_test

import (
	"strings"
	"testing"
	"time"

	"example.com/todo/rehearsal/account"
)

func caller(roleARN string) account.Caller {
	return account.Caller{RoleARN: roleARN, Region: "eu-west-1"}
}

// document is a policy of one statement.
func document(effect, rest string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"` + effect + `",` + rest + `}}`
}

// IAM-6
func TestPoliciesAreEvaluated(t *testing.T) {
	const (
		read   = "secretsmanager:GetSecretValue"
		secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:rds!cluster-1-abcdef"
		all    = `"Action":"*","Resource":"*"`
	)
	when := func(condition string) string { return all + `,"Condition":` + condition }
	w := newCloud(t).world()
	role := w.made["own"].state["arn"].(string)
	for _, row := range []struct {
		name, document string
		allowed        bool
	}{
		{"the very action and resource", document("Allow", `"Action":"`+read+`","Resource":"`+secret+`"`), true},
		{"another resource", document("Allow", `"Action":"`+read+`","Resource":"`+secret+`x"`), false},
		{"the resource without its last characters", document("Allow", `"Action":"`+read+`","Resource":"`+strings.TrimSuffix(secret, "-abcdef")+`"`), false},
		{"the resource's name and any last characters", document("Allow", `"Action":"`+read+`","Resource":"`+strings.TrimSuffix(secret, "abcdef")+`??????"`), true},
		{"a pattern of resources", document("Allow", `"Action":"`+read+`","Resource":"arn:aws:secretsmanager:*:123456789012:secret:rds!cluster-*"`), true},
		{"another name's pattern", document("Allow", `"Action":"`+read+`","Resource":"arn:aws:secretsmanager:*:*:secret:rds-cluster-*"`), false},
		{"a pattern of actions in other case", document("Allow", `"Action":["kms:*","SecretsManager:get*"],"Resource":"*"`), true},
		{"another action", document("Allow", `"Action":"secretsmanager:DescribeSecret","Resource":"*"`), false},
		{"all actions but some", document("Allow", `"NotAction":["secretsmanager:Put*","iam:*"],"Resource":"*"`), true},
		{"all actions but this one", document("Allow", `"NotAction":"secretsmanager:*","Resource":"*"`), false},
		{"all resources but some", document("Allow", `"Action":"*","NotResource":"arn:aws:s3:::*"`), true},
		{"all resources but this one", document("Allow", `"Action":"*","NotResource":"`+secret+`"`), false},
		{"a deny beside an allow", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + all + `},{"Effect":"Deny",` + all + `}]}`, false},
		{"a deny of something else", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + all + `},{"Effect":"Deny","Action":"iam:*","Resource":"*"}]}`, true},
		{"a deny without TLS, which there is", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + all + `},{"Effect":"Deny",` + when(`{"Bool":{"aws:SecureTransport":false}}`) + `}]}`, true},
		{"with TLS", document("Allow", when(`{"Bool":{"aws:SecureTransport":"true"}}`)), true},
		{"in a region", document("Allow", when(`{"StringEquals":{"aws:RequestedRegion":["eu-west-1","eu-central-1"]}}`)), true},
		{"in other regions", document("Allow", when(`{"StringNotEquals":{"aws:RequestedRegion":["eu-west-1","eu-central-1"]}}`)), false},
		{"in regions like it", document("Allow", when(`{"StringLike":{"AWS:requestedregion":"eu-*"}}`)), true},
		{"as this role", document("Allow", when(`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/own-*"}}`)), true},
		{"as a role below a path", document("Allow", when(`{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::*:role/todo/own-*"}}`)), false},
		{"two conditions, one of which does not hold", document("Allow", when(`{"Bool":{"aws:SecureTransport":true},"StringEquals":{"aws:PrincipalAccount":"1"}}`)), false},
		{"for another service's sake, which it is not", document("Allow", when(`{"StringEquals":{"aws:SourceAccount":"123456789012"}}`)), false},
		{"for another service's sake, if it is", document("Allow", when(`{"StringEqualsIfExists":{"aws:SourceAccount":"1"}}`)), true},
		{"for no other service's sake", document("Allow", when(`{"Null":{"aws:SourceAccount":"true"}}`)), true},
		{"passing a role, which it does not", document("Allow", when(`{"StringEquals":{"iam:PassedToService":"apprunner.amazonaws.com"}}`)), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			policy := w.make(w.made["ownPolicy"].token, "row", props{"role": w.made["own"].id, "name": "row", "policy": row.document})
			defer func() {
				if refused := w.remove(policy); refused != nil {
					t.Error(refused.text)
				}
			}()
			err := w.account.Authorize(caller(role), read, secret)
			if (err == nil) != row.allowed {
				t.Errorf("%s: %v, want allowed: %v", row.document, err, row.allowed)
			}
		})
	}
}

// IAM-5
func TestTrustIsEvaluated(t *testing.T) {
	const own = `"Principal":{"Service":["ec2.amazonaws.com","tasks.apprunner.amazonaws.com"]}`
	w := newCloud(t).world()
	for _, row := range []struct {
		name, statements string
		allowed          bool
	}{
		{"one of some services", `{"Effect":"Allow","Action":"sts:AssumeRole",` + own + `}`, true},
		{"another service", `{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"apprunner.amazonaws.com"}}`, false},
		{"the account", `{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"arn:aws:iam::123456789012:root"}}`, false},
		{"another action", `{"Effect":"Allow","Action":"sts:TagSession",` + own + `}`, false},
		{"a deny", `[{"Effect":"Allow","Action":"sts:AssumeRole",` + own + `},{"Effect":"Deny","Action":"sts:*",` + own + `}]`, false},
		{"for services of this account", `{"Effect":"Allow","Action":"sts:AssumeRole",` + own + `,"Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"},"ArnLike":{"aws:SourceArn":"arn:aws:apprunner:*:123456789012:service/todo-test/*"}}}`, true},
		{"for services of another account", `{"Effect":"Allow","Action":"sts:AssumeRole",` + own + `,"Condition":{"StringEquals":{"aws:SourceAccount":"210987654321"}}}`, false},
		{"for another service of this account", `{"Effect":"Allow","Action":"sts:AssumeRole",` + own + `,"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:apprunner:*:*:service/other/*"}}}`, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			role := w.make(w.made["own"].token, strings.ReplaceAll(row.name, " ", "-"), props{"assumeRolePolicy": `{"Version":"2012-10-17","Statement":` + row.statements + `}`})
			w.account.Clock.Skip(time.Minute)
			_, err := w.account.AssumeRole(role.state["arn"].(string), "tasks.apprunner.amazonaws.com", w.made["service"].id)
			if (err == nil) != row.allowed {
				t.Errorf("got %v, want allowed: %v", err, row.allowed)
			}
		})
	}
}

// IAM-9
func TestNewRolesAreNotKnownEverywhere(t *testing.T) {
	w := newCloud(t).world()
	const access = "sourceConfiguration.authenticationConfiguration.accessRoleArn"
	role := w.make(w.made["access"].token, "fresh", w.props["access"])
	w.make(w.made["accessPolicy"].token, "fresh", w.props["accessPolicy"].with(props{"role": role.id}))
	service := w.props["service"].with(props{"serviceName": "fresh", access: role.state["arn"]})
	_, refused := w.try(w.made["service"].token, "fresh", service)
	w.mustRefuse(refused, "up", "InvalidRequestException: Error in assuming access role "+role.state["arn"].(string))
	w.account.Clock.Skip(10 * time.Second)
	w.make(w.made["service"].token, "fresh", service)
}

// IAM-10
func TestTheProviderGivesInstanceRolesTime(t *testing.T) {
	const instance = "instanceConfiguration.instanceRoleArn"
	w := newCloud(t).world()
	role := w.make(w.made["own"].token, "fresh", w.props["own"])
	_, refused := w.update(w.made["service"], w.props["service"].with(props{instance: role.state["arn"]}))
	w.mustRefuse(refused, "up", "operation error AppRunner: UpdateService, api error InvalidRequestException: Error in assuming instance role "+role.state["arn"].(string))
	w.make(w.made["service"].token, "fresh", w.props["service"].with(props{"serviceName": "fresh", instance: role.state["arn"]}))

	// Time that has passed mends no trust. AR-10
	tried := make(chan *refusal)
	go func() {
		_, refused := w.try(w.made["service"].token, "distrusted", w.props["service"].with(props{"serviceName": "distrusted", instance: w.made["access"].state["arn"]}))
		tried <- refused
	}()
	for passing := time.NewTicker(time.Millisecond); ; {
		select {
		case refused := <-tried:
			passing.Stop()
			w.mustRefuse(refused, "up", "Error in assuming instance role "+w.made["access"].state["arn"].(string))
			return
		case <-passing.C:
			w.account.Clock.Skip(time.Second)
		}
	}
}

// NET-8
func TestEndpointPolicies(t *testing.T) {
	w := newCloud(t).world()
	asks := caller(w.made["own"].state["arn"].(string))
	asks.Endpoint = w.made["endpoint"].id
	for _, row := range []struct{ policy, refuses string }{
		{document("Allow", `"Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"`+w.secret()+`"`), ""},
		{document("Allow", `"Principal":{"AWS":"`+asks.RoleARN+`"},"Action":"*","Resource":"*"`), ""},
		{document("Allow", `"Principal":{"AWS":"`+w.made["access"].state["arn"].(string)+`"},"Action":"*","Resource":"*"`), "because no VPC endpoint policy allows"},
		{document("Allow", `"Principal":"*","Action":"secretsmanager:DescribeSecret","Resource":"*"`), "because no VPC endpoint policy allows the secretsmanager:GetSecretValue action"},
		{document("Deny", `"Principal":"*","Action":"*","Resource":"*"`), "with an explicit deny in a VPC endpoint policy"},
	} {
		w.mustUpdate("endpoint", props{"policy": row.policy})
		_, err := w.account.GetSecretValue(asks, w.secret(), "", "")
		switch {
		case row.refuses == "" && err != nil:
			t.Errorf("%s refuses: %v", row.policy, err)
		case row.refuses != "" && (err == nil || !strings.Contains(err.Error(), row.refuses)):
			t.Errorf("%s: got %v, want %q", row.policy, err, row.refuses)
		}
	}
	asks.Endpoint = ""
	if _, err := w.account.GetSecretValue(asks, w.secret(), "", ""); err != nil {
		t.Errorf("not through the endpoint: %v", err)
	}
}

// SM-2
func TestSecretsAreRegional(t *testing.T) {
	w := newCloud(t).world()
	asks := caller(w.made["own"].state["arn"].(string))
	asks.Region = "eu-central-1"
	if _, err := w.account.GetSecretValue(asks, w.secret(), "", ""); err == nil || !strings.Contains(err.Error(), "ResourceNotFoundException") {
		t.Errorf("in another region: got %v, want ResourceNotFoundException", err)
	}
}
