package host

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

// credentialsOf deploys an instance in a role and asks for its credentials as its SDK does.
func (c *cloud) credentialsOf(t *testing.T, roleARN string) aws.CredentialsProvider {
	t.Helper()
	spec := newSpec("one", nil)
	spec.RoleARN = roleARN
	c.mustDeploy(t, spec)
	return c.credentialsIn(c.environments(t, spec.ARN)[0])
}

// credentialsIn asks for credentials as an instance does that has these variables.
func (c *cloud) credentialsIn(variables map[string]string) aws.CredentialsProvider {
	return endpointcreds.New(variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"], func(o *endpointcreds.Options) {
		o.AuthorizationToken = variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
	})
}

func (c *cloud) mustRole(t *testing.T, name, service, secretARN string) string {
	t.Helper()
	role, err := c.role(name, service, secretARN)
	if err != nil {
		t.Fatal(err)
	}
	return role
}

// RUN-2
func TestCredentialsNeedTheGrantedToken(t *testing.T) {
	c := newCloud(t)
	for _, name := range []string{"own", "other"} {
		role := c.mustRole(t, name, tasksPrincipal, "")
		issued, err := c.credentialsOf(t, role).Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if session, known := c.host.Account.Session(issued.AccessKeyID); !known || session.RoleARN != role || !issued.CanExpire {
			t.Errorf("%s got %+v, which are the credentials of %+v", role, issued, session)
		}
	}
	for _, token := range []string{"", "guess"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.host.platform.credentialsURL+"/v1/credentials", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if closeErr := response.Body.Close(); err != nil || closeErr != nil {
			t.Fatal(err, closeErr)
		}
		if response.StatusCode != http.StatusForbidden || strings.Contains(string(body), "SecretAccessKey") {
			t.Errorf("with the token %q: %s %s, want 403", token, response.Status, body)
		}
	}
}

// RUN-2
func TestRolesThatAppRunnerMayNotAssume(t *testing.T) {
	c := newCloud(t)
	spec := newSpec("one", nil)
	spec.RoleARN = c.mustRole(t, "access", "build.apprunner.amazonaws.com", "")
	if _, err := c.host.Deploy(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "Error in assuming instance role") {
		t.Errorf("got %v, want the role refused", err)
	}
	if left := c.alive(t); len(left) != 0 {
		t.Errorf("%v run all the same", left)
	}
}

// late signs with a clock that is wrong.
type late struct{ by time.Duration }

func (s late) SignHTTP(ctx context.Context, credentials aws.Credentials, r *http.Request, hash, service, region string, at time.Time, options ...func(*v4.SignerOptions)) error {
	return v4.NewSigner().SignHTTP(ctx, credentials, r, hash, service, region, at.Add(-s.by), options...)
}

// tamper changes requests on their way, after they are signed.
type tamper struct {
	client *http.Client
	change func(*http.Request)
}

func (h tamper) Do(r *http.Request) (*http.Response, error) {
	h.change(r)
	return h.client.Do(r)
}

// RUN-3
func TestSecretsNeedTheRolesSignature(t *testing.T) {
	c := newCloud(t)
	cluster, err := c.cluster()
	if err != nil {
		t.Fatal(err)
	}
	secret := secretOf(cluster)
	own := c.credentialsOf(t, c.mustRole(t, "own", tasksPrincipal, secret))
	issued, err := own.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	powerless := c.credentialsOf(t, c.mustRole(t, "powerless", tasksPrincipal, ""))
	client := c.client(t)
	static := func(key, secret, token string) aws.CredentialsProvider {
		return credentials.NewStaticCredentialsProvider(key, secret, token)
	}
	read := func(change func(*secretsmanager.Options), input *secretsmanager.GetSecretValueInput) (*secretsmanager.GetSecretValueOutput, error) {
		return secretsmanager.New(secretsmanager.Options{
			Region: region, BaseEndpoint: &c.host.platform.awsURL, HTTPClient: client, Credentials: own, Retryer: aws.NopRetryer{},
		}, change).GetSecretValue(t.Context(), input)
	}
	wanted := &secretsmanager.GetSecretValueInput{SecretId: &secret}

	answer, err := read(func(*secretsmanager.Options) {}, wanted)
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(answer.ARN) != secret || !strings.Contains(aws.ToString(answer.SecretString), `"username":"tasks"`) {
		t.Errorf("got %s of %s", aws.ToString(answer.SecretString), aws.ToString(answer.ARN))
	}

	sent := func(change func(*http.Request)) func(*secretsmanager.Options) {
		return func(o *secretsmanager.Options) { o.HTTPClient = tamper{client, change} }
	}
	by := func(p aws.CredentialsProvider) func(*secretsmanager.Options) {
		return func(o *secretsmanager.Options) { o.Credentials = p }
	}
	for name, row := range map[string]struct {
		change func(*secretsmanager.Options)
		code   string
	}{
		"a wrong key":                   {by(static(issued.AccessKeyID, "guess", issued.SessionToken)), "InvalidSignatureException"},
		"a foreign access key":          {by(static("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "")), "UnrecognizedClientException"},
		"another session's token":       {by(static(issued.AccessKeyID, issued.SecretAccessKey, "guess")), "UnrecognizedClientException"},
		"no session token":              {by(static(issued.AccessKeyID, issued.SecretAccessKey, "")), "UnrecognizedClientException"},
		"a role without the permission": {by(powerless), "AccessDeniedException"},
		"a tampered body": {sent(func(r *http.Request) {
			body := `{"SecretId":"another"}`
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader([]byte(body))), int64(len(body))
		}), "InvalidSignatureException"},
		"another path":  {sent(func(r *http.Request) { r.URL.Path = "/other" }), "InvalidSignatureException"},
		"a stale date":  {func(o *secretsmanager.Options) { o.HTTPSignerV4 = late{10 * time.Minute} }, "InvalidSignatureException"},
		"a future date": {func(o *secretsmanager.Options) { o.HTTPSignerV4 = late{-10 * time.Minute} }, "InvalidSignatureException"},
		"a changed date": {sent(func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().UTC().Add(time.Second).Format("20060102T150405Z"))
		}), "InvalidSignatureException"},
		"another operation": {sent(func(r *http.Request) { r.Header.Set("X-Amz-Target", "secretsmanager.DeleteSecret") }), "InvalidSignatureException"},
		"no signature":      {sent(func(r *http.Request) { r.Header.Del("Authorization") }), "MissingAuthenticationTokenException"},
		"another service's scope": {sent(func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "/secretsmanager/", "/s3/", 1))
		}), "InvalidSignatureException"},
		"an operation that is not signed": {sent(func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), ";x-amz-target", "", 1))
		}), "InvalidSignatureException"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(row.change, wanted)
			mustBeRefused(t, err, row.code)
			if got != nil {
				t.Errorf("answered all the same: %+v", got)
			}
		})
	}
	t.Run("what the rehearsal does not know", func(t *testing.T) {
		manager := secretsmanager.New(secretsmanager.Options{
			Region: region, BaseEndpoint: &c.host.platform.awsURL, HTTPClient: client, Credentials: own, Retryer: aws.NopRetryer{}})
		_, err := manager.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &secret})
		mustBeRefused(t, err, "UnknownOperationException")
		_, err = manager.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &secret, VersionId: aws.String("1")})
		mustBeRefused(t, err, "ResourceNotFoundException")
		_, err = manager.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &secret, VersionStage: aws.String("AWSPREVIOUS")})
		mustBeRefused(t, err, "ResourceNotFoundException")
		if _, err = manager.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &secret, VersionStage: aws.String("AWSCURRENT")}); err != nil {
			t.Error(err)
		}
	})
}

func secretOf(cluster made) string {
	return cluster.state["masterUserSecrets"].ArrayValue()[0].ObjectValue()["secretArn"].StringValue()
}

func mustBeRefused(t *testing.T, err error, code string) {
	t.Helper()
	var refusal smithy.APIError
	if !errors.As(err, &refusal) || refusal.ErrorCode() != code {
		t.Errorf("got %v, want %s", err, code)
	}
}
