package credentials

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
)

// The part of the AWS SDK's standard environment that is honoured. The SDK's own
// default chain would honour all of it, at the price of 2 MB of binary for
// sources (SSO, STS, profiles, instance metadata) that a container never uses.
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

// awsIdentity finds who signs the calls, in the SDK's order: keys in the
// environment, then the container's endpoint.
func awsIdentity(getenv func(string) string, client *http.Client) (aws.CredentialsProvider, error) {
	if id, key := getenv(envAccessKeyID), getenv(envSecretAccessKey); id != "" && key != "" {
		return credentials.NewStaticCredentialsProvider(id, key, getenv(envSessionToken)), nil
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
	return aws.NewCredentialsCache(endpointcreds.New(endpoint, func(o *endpointcreds.Options) {
		o.HTTPClient = client
		o.AuthorizationToken = getenv(envContainerToken)
		if file := getenv(envContainerTokenFile); file != "" {
			o.AuthorizationTokenProvider = tokenFile(file)
		}
	})), nil
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

// tokenFile is read for each use, because the platform renews it in place.
type tokenFile string

func (f tokenFile) GetToken() (string, error) {
	b, err := os.ReadFile(string(f))
	if err != nil {
		return "", fmt.Errorf("read the credentials endpoint's token: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
