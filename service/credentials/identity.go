package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// The AWS SDKs' standard variables: https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
const (
	envEndpoint           = "AWS_ENDPOINT_URL"
	envSecretsEndpoint    = "AWS_ENDPOINT_URL_SECRETS_MANAGER"
	envAccessKeyID        = "AWS_ACCESS_KEY_ID"
	envSecretAccessKey    = "AWS_SECRET_ACCESS_KEY"
	envSessionToken       = "AWS_SESSION_TOKEN"
	envContainerFull      = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	envContainerRelative  = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
	envContainerToken     = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
	envContainerTokenFile = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
)

// containerHost is where the platform serves the role's credentials when it names
// only a path: https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
const containerHost = "http://169.254.170.2"

// renewBefore is how long before they expire the role's credentials are read again.
const renewBefore = 5 * time.Minute

// awsIdentity finds who signs the calls, in the SDK's order: keys in the environment,
// then the container's endpoint.
func awsIdentity(getenv func(string) string, client *http.Client) (func(context.Context) (reading[aws.Credentials], error), error) {
	if id, key := getenv(envAccessKeyID), getenv(envSecretAccessKey); id != "" && key != "" {
		keys := aws.Credentials{AccessKeyID: id, SecretAccessKey: key, SessionToken: getenv(envSessionToken)}
		return func(context.Context) (reading[aws.Credentials], error) {
			return reading[aws.Credentials]{value: keys}, nil
		}, nil
	}
	endpoint := getenv(envContainerFull)
	if relative := getenv(envContainerRelative); relative != "" {
		endpoint = containerHost + relative
	}
	if endpoint == "" {
		return nil, fmt.Errorf("no AWS credentials: set %s, as the platform does, or %s and %s",
			envContainerRelative, envAccessKeyID, envSecretAccessKey)
	}
	if err := checkContainerEndpoint(endpoint); err != nil {
		return nil, fmt.Errorf("%s=%q: %w", envContainerFull, endpoint, err)
	}
	role := containerRole{endpoint: endpoint, token: getenv(envContainerToken), tokenFile: getenv(envContainerTokenFile), client: client}
	return role.read, nil
}

// checkContainerEndpoint keeps the SDK's rule: the token and the credentials cross
// plain HTTP only inside the machine.
func checkContainerEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return errors.New("must be a URL")
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	inside := host == "localhost" || ip.IsLoopback() || host == "169.254.170.2" || host == "169.254.170.23"
	if u.Scheme != "https" && (u.Scheme != "http" || !inside) {
		return errors.New("must be https, or http to this machine")
	}
	return nil
}

// containerRole asks the platform for the credentials of the role that it runs us as.
type containerRole struct {
	endpoint         string
	token, tokenFile string // the file is read for each use, because the platform renews it in place
	client           *http.Client
}

func (r containerRole) read(ctx context.Context) (reading[aws.Credentials], error) {
	var role struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		Expiration      time.Time
	}
	err := exchange(ctx, r.client, r.request, func(answer []byte) error {
		if err := json.Unmarshal(answer, &role); err != nil || role.AccessKeyID == "" || role.SecretAccessKey == "" {
			return errors.New("the answer is not the JSON of AccessKeyId, SecretAccessKey, Token and Expiration")
		}
		return nil
	})
	if err != nil {
		return reading[aws.Credentials]{}, err
	}
	keys := aws.Credentials{AccessKeyID: role.AccessKeyID, SecretAccessKey: role.SecretAccessKey, SessionToken: role.Token}
	if role.Expiration.IsZero() {
		return reading[aws.Credentials]{value: keys}, nil
	}
	return reading[aws.Credentials]{value: keys, renewAt: role.Expiration.Add(-renewBefore), waitAt: role.Expiration}, nil
}

func (r containerRole) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.endpoint, nil)
	if err != nil {
		return nil, err
	}
	token := r.token
	if r.tokenFile != "" {
		b, err := os.ReadFile(r.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("read the credentials endpoint's token: %w", err)
		}
		token = strings.TrimSpace(string(b))
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	return req, nil
}
