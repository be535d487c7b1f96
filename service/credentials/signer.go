package credentials

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Signer signs what is sent to AWS in one region, as whom the environment says: keys,
// or the role that the platform runs us as. It is safe for use by many goroutines.
type Signer struct {
	region string
	keys   *cached[aws.Credentials]
	v4     *v4.Signer
	client *http.Client
	log    *slog.Logger
	now    func() time.Time
}

// NewSigner makes no call yet; its error is about the configuration. getenv gives the
// AWS SDKs' standard variables for credentials.
func NewSigner(region string, getenv func(string) string, log *slog.Logger) (*Signer, error) {
	s := &Signer{region: region, v4: v4.NewSigner(), client: newClient(), log: log, now: time.Now}
	read, err := awsIdentity(getenv, s.client)
	if err != nil {
		return nil, err
	}
	s.keys = share(s, "the AWS credentials", read)
	return s, nil
}

// share keeps what read gives, with the signer's clock and log.
func share[T any](s *Signer, what string, read func(context.Context) (reading[T], error)) *cached[T] {
	return &cached[T]{what: what, read: read, log: s.log, now: func() time.Time { return s.now() }}
}

// sign adds the header Authorization to a request with that body.
func (s *Signer) sign(ctx context.Context, keys aws.Credentials, req *http.Request, body []byte, service string) error {
	if err := s.v4.SignHTTP(ctx, keys, req, hash(body), service, s.region, time.Now()); err != nil {
		return fmt.Errorf("sign the request: %w", err)
	}
	return nil
}

// presign gives the URL of a request without a body, with the signature in its query:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func (s *Signer) presign(ctx context.Context, keys aws.Credentials, req *http.Request, service string) (string, error) {
	signed, _, err := s.v4.PresignHTTP(ctx, keys, req, hash(nil), service, s.region, s.now())
	if err != nil {
		return "", fmt.Errorf("sign the URL: %w", err)
	}
	return signed, nil
}

func hash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
