package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// SecretsManager reads secrets of one region of AWS Secrets Manager. It is safe for
// use by many goroutines.
//
// It makes its one request by hand, because the SDK's client of the whole service adds
// a third of a megabyte to the compressed image:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
type SecretsManager struct {
	signer   *Signer
	endpoint string
}

// NewSecretsManager makes no call yet; its error is about the configuration. getenv
// gives the AWS SDKs' standard variables for endpoints.
func NewSecretsManager(signer *Signer, getenv func(string) string) (*SecretsManager, error) {
	endpoint, err := secretsEndpoint(signer.region, getenv)
	if err != nil {
		return nil, err
	}
	return &SecretsManager{signer: signer, endpoint: endpoint}, nil
}

// secretsEndpoint is the configured one, or the region's:
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
func secretsEndpoint(region string, getenv func(string) string) (string, error) {
	name := envSecretsEndpoint
	if getenv(name) == "" {
		name = envEndpoint
	}
	endpoint := getenv(name)
	if endpoint == "" {
		domain := "amazonaws.com"
		if strings.HasPrefix(region, "cn-") {
			domain = "amazonaws.com.cn"
		}
		return "https://secretsmanager." + region + "." + domain + "/", nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", fmt.Errorf("%s=%q: must be an http or https URL", name, endpoint)
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/"
	return u.String(), nil
}

// text reads the secret of that name or ARN, which must hold text.
func (s *SecretsManager) text(ctx context.Context, id string) (string, error) {
	body, err := json.Marshal(map[string]string{"SecretId": id})
	if err != nil {
		return "", err
	}
	keys, err := s.signer.keys.get(ctx)
	if err != nil {
		return "", err
	}
	var secret struct{ SecretString *string }
	request := func(ctx context.Context) (*http.Request, error) { return s.request(ctx, keys, body) }
	err = exchange(ctx, s.signer.client, request, func(answer []byte) error {
		if json.Unmarshal(answer, &secret) != nil {
			return errors.New("the answer is not the JSON of GetSecretValue")
		}
		if secret.SecretString == nil {
			return errors.New("the answer holds no SecretString")
		}
		return nil
	})
	if refused := new(refusal); errors.As(err, &refused) && refused.aboutIdentity() {
		s.signer.keys.drop(func(k aws.Credentials) bool { return k.AccessKeyID == keys.AccessKeyID })
	}
	if err != nil {
		return "", err
	}
	return *secret.SecretString, nil
}

func (s *SecretsManager) request(ctx context.Context, keys aws.Credentials, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
	return req, s.signer.sign(ctx, keys, req, body, "secretsmanager")
}
