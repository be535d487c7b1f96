package verify

import (
	"strings"
	"testing"

	"example.com/todo/deploy/cloud"
)

func lines(texts ...string) []cloud.Line {
	var all []cloud.Line
	for _, text := range texts {
		all = append(all, cloud.Line{Text: text})
	}
	return all
}

// The events are as App Runner wrote them, most in https://github.com/47chapters/letsgo/issues/14 and
// https://github.com/aws/apprunner-roadmap/issues/210.
func TestCauses(t *testing.T) {
	const (
		checking  = "[AppRunner] Performing health check on protocol `HTTP` [Path: '/'], [Port: '8080']."
		older     = "[AppRunner] Performing health check on path '/' and port '8080'."
		unhealthy = "[AppRunner] Health check failed on protocol `HTTP` [Path: '/'], [Port: '8080']. Check your configured port number. For more information, see the application logs."
		exited    = "[AppRunner] Your application stopped or failed to start. See logs for more information.  Container exit code: 1"
		listening = `{"time":"2026-01-01T00:00:00Z","level":"INFO","msg":"listening","addr":"[::]:8080","version":"0123456789ab"}`
	)
	tests := map[string]struct {
		evidence Evidence
		want     []string // each in one of the causes, the first in the first
	}{
		"another platform": {
			Evidence{Events: lines(checking, exited), Application: lines("exec /todo: exec format error")},
			[]string{"another platform than linux/amd64", "ended before it was healthy"},
		},
		"an access role": {
			Evidence{Engine: []string{"x", "api error InvalidRequestException: Error in assuming access role arn:aws:iam::1:role/todo"}},
			[]string{"the access role arn:aws:iam::1:role/todo: its trust policy must let build.apprunner.amazonaws.com"},
		},
		"an instance role": {
			Evidence{Events: lines("Error in assuming instance role arn:aws:iam::1:role/todo")},
			[]string{"the instance role arn:aws:iam::1:role/todo: its trust policy must let tasks.apprunner.amazonaws.com"},
		},
		"an image that is not copied": {
			Evidence{Events: lines("[AppRunner] Deployment with ID : 1 failed. Failure reason : Failed to copy the image from ECR")},
			[]string{"could not copy the image from ECR"},
		},
		"an image that is not pulled": {
			Evidence{Events: lines("[AppRunner] Failed to pull your application image. Be sure you configure your service with a valid access role to your ECR repository.")},
			[]string{"could not copy the image from ECR"},
		},
		"a secret that is not read": {
			Evidence{Events: lines("[AppRunner] Failed to retrieve the secret of the environment variable DATABASE_ADMIN_SECRET")},
			[]string{"the instance role be allowed secretsmanager:GetSecretValue on it"},
		},
		"a token that is refused": {
			Evidence{Application: lines(`{"level":"WARN","msg":"database is not ready","error":"FATAL: PAM authentication failed for user \"todo\" (SQLSTATE 28000)"}`)},
			[]string{"the database refuses the service's tokens: the instance role must be allowed rds-db:connect"},
		},
		"a wrong setting": {
			Evidence{Events: lines(checking, exited), Application: lines("configuration:", "DATABASE_HOST is missing")},
			[]string{`the service ended before it was healthy: its last line is "DATABASE_HOST is missing"`},
		},
		"an end without a word": {
			Evidence{Events: lines(checking, exited)},
			[]string{"the service ended before it was healthy: it logged nothing"},
		},
		"another port": {
			Evidence{Events: lines(checking, unhealthy), Application: lines(strings.Replace(listening, "8080", "9090", 1))},
			[]string{"the service listens on port 9090, and App Runner asks port 8080"},
		},
		"another port, as it was written once": {
			Evidence{Events: lines(older, "[AppRunner] Health check failed on port '8080'. Check your configured port number."),
				Application: lines(strings.Replace(listening, "8080", "9090", 1))},
			[]string{"the service listens on port 9090, and App Runner asks port 8080"},
		},
		"a health check that is refused": {
			Evidence{Events: lines(checking, unhealthy), Application: lines(listening, `{"msg":"request","method":"GET","route":"/","status":503}`)},
			[]string{"the service answers GET /, the health check, with 503 instead of 200"},
		},
		"a slow start": {
			Evidence{Events: lines(checking, unhealthy)},
			[]string{"did not listen within five minutes"},
		},
		"nothing known": {
			Evidence{Events: lines("[AppRunner] Service status is set to RUNNING."), Application: lines(listening)},
			[]string{"none that is known here"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := test.evidence.Causes()
			if len(got) != len(test.want) {
				t.Fatalf("%d causes %q, want %d", len(got), got, len(test.want))
			}
			for i, want := range test.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("cause %d is %q, want %q", i+1, got[i], want)
				}
			}
		})
	}
}
