package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"example.com/todo/infra/output"

	"example.com/todo/rehearsal/account"
	"example.com/todo/rehearsal/engine"
	"example.com/todo/rehearsal/stage"
)

// checkState holds that a stack's state, as Pulumi keeps it in somebody's bucket, holds no secret in plain text.
func checkState(t *testing.T, s *stage.Stage, stack *engine.Stack) {
	t.Helper()
	state, err := stack.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if password := masterPassword(t, s, stack); strings.Contains(string(state), password) {
		t.Error("the database's password is in the state")
	}
	var document any
	if err := json.Unmarshal(state, &document); err != nil {
		t.Fatal(err)
	}
	sealed := 0
	var walk func(at string, value any)
	walk = func(at string, value any) {
		switch value := value.(type) {
		case map[string]any:
			for key, inner := range value {
				text, plain := inner.(string)
				switch {
				case strings.HasSuffix(strings.ToLower(key), "password") && plain && text != "":
					t.Errorf("%s.%s is in plain text", at, key)
				case key == "ciphertext" && plain && text != "":
					sealed++
				}
				walk(at+"."+key, inner)
			}
		case []any:
			for i, inner := range value {
				walk(fmt.Sprintf("%s[%d]", at, i), inner)
			}
		}
	}
	walk("", document)
	if sealed == 0 {
		t.Error("nothing in the state is encrypted, not even the registry's password")
	}
}

// masterPassword is what only the service's own role may read.
func masterPassword(t *testing.T, s *stage.Stage, stack *engine.Stack) string {
	t.Helper()
	for _, r := range s.Host.Account.Resources() {
		if r.Token != "aws:iam/role:Role" || !strings.HasPrefix(r.ID, "todo-"+stack.Name+"-service-instance-") {
			continue
		}
		value, err := s.Host.Account.GetSecretValue(account.Caller{RoleARN: r.State["arn"].StringValue(), Region: r.Region}, outputs(t, stack)[output.DatabaseSecretARN], "", "")
		if err != nil {
			t.Fatal(err)
		}
		var secret struct{ Password string }
		if err := json.Unmarshal([]byte(value.Value), &secret); err != nil || secret.Password == "" {
			t.Fatalf("the secret holds no password: %v", err)
		}
		return secret.Password
	}
	t.Fatal("the service has no role")
	return ""
}
