package credentials

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	// tokenLife is how long a token opens connections, the longest that RDS accepts.
	tokenLife = 15 * time.Minute
	// refusedPause is between two reads of the AWS credentials because of refused tokens.
	refusedPause = 5 * time.Second
)

// Tokens logs one role in to a database of RDS or Aurora, which must be a member of
// rds_iam there, with tokens that the signer signs: no call to AWS makes one. It is safe
// for use by many goroutines.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.html
type Tokens struct {
	signer  *Signer
	address string // of the database: RDS compares it with its own name
	role    string
	refused atomic.Bool // the last token, since the AWS credentials were read
}

// NewTokens gives tokens for the role of the database at that endpoint, which must be the
// name that RDS gave it.
func NewTokens(signer *Signer, host string, port uint16, role string) *Tokens {
	return &Tokens{signer: signer, address: net.JoinHostPort(host, strconv.Itoa(int(port))), role: role}
}

// Login gives a fresh token as the password. The error is about the AWS credentials.
func (t *Tokens) Login(ctx context.Context) (Login, error) {
	keys, err := t.keys(ctx)
	if err != nil {
		return Login{}, err
	}
	const scheme = "https://"
	query := url.Values{"Action": {"connect"}, "DBUser": {t.role}, "X-Amz-Expires": {strconv.Itoa(int(tokenLife.Seconds()))}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+t.address+"/?"+query.Encode(), nil)
	if err != nil {
		return Login{}, fmt.Errorf("make the database's token: %w", err)
	}
	signed, err := t.signer.presign(ctx, keys, req, "rds-db")
	if err != nil {
		return Login{}, fmt.Errorf("make the database's token: %w", err)
	}
	return Login{Username: t.role, Password: Secret(strings.TrimPrefix(signed, scheme))}, nil
}

func (t *Tokens) keys(ctx context.Context) (aws.Credentials, error) {
	if t.refused.Swap(false) {
		return t.signer.keys.renew(ctx, refusedPause)
	}
	return t.signer.keys.get(ctx)
}

// Reject has the AWS credentials read anew for the next token, unless they just were:
// those of before may have been revoked.
func (t *Tokens) Reject(Secret) { t.refused.Store(true) }
