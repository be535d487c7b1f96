// Package credentials tells as whom to log in to the database, now: a password
// that Secrets Manager rotates is never read only once.
package credentials

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

const (
	// cacheFor is short against the days between rotations and long against the
	// life of a burst of new connections.
	cacheFor = 5 * time.Minute
	// callTimeout bounds one HTTP exchange, fetchTimeout all tries of one fetch.
	callTimeout  = 5 * time.Second
	fetchTimeout = 15 * time.Second
)

// Login is what a secret holds. A secret that RDS manages holds only Username and
// Password; Host, Port and Database are then empty.
type Login struct {
	Username string
	Password Secret
	Host     string
	Port     uint16
	Database string
}

// SecretsManager reads a login from AWS Secrets Manager. It is safe for use by
// many goroutines, which share one call at a time.
type SecretsManager struct {
	secretID string
	client   *secretsmanager.Client

	mu      sync.Mutex
	login   Login
	expires time.Time // of login; zero when there is none
	running *fetch    // nil when no call is under way
}

type fetch struct {
	done  chan struct{} // closed when login and err are set
	login Login
	err   error
}

// NewSecretsManager reads the secret of that name or ARN. It makes no call yet.
// getenv gives the AWS SDK's standard variables for endpoints and credentials.
func NewSecretsManager(secretID, region string, getenv func(string) string) (*SecretsManager, error) {
	client := &http.Client{Timeout: callTimeout}
	identity, err := awsIdentity(getenv, client)
	if err != nil {
		return nil, err
	}
	options := secretsmanager.Options{Region: region, Credentials: identity, HTTPClient: client}
	if endpoint := cmp.Or(getenv(envSecretsEndpoint), getenv(envEndpoint)); endpoint != "" {
		options.BaseEndpoint = aws.String(endpoint)
	}
	return &SecretsManager{secretID: secretID, client: secretsmanager.New(options)}, nil
}

// Login gives the login, from memory when it was read within the last minutes.
// A call that is under way goes on for the others when ctx ends.
func (s *SecretsManager) Login(ctx context.Context) (Login, error) {
	s.mu.Lock()
	if time.Now().Before(s.expires) {
		defer s.mu.Unlock()
		return s.login, nil
	}
	f := s.running
	if f == nil {
		f = &fetch{done: make(chan struct{})}
		s.running = f
		go s.run(f)
	}
	s.mu.Unlock()

	select {
	case <-f.done:
		return f.login, f.err
	case <-ctx.Done():
		return Login{}, fmt.Errorf("wait for secret %s: %w", s.secretID, ctx.Err())
	}
}

// Reject drops the password that the database refused, so that the next Login
// asks anew. A password that was replaced meanwhile stays.
func (s *SecretsManager) Reject(password Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.login.Password == password {
		s.login, s.expires = Login{}, time.Time{}
	}
}

func (s *SecretsManager) run(f *fetch) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	f.login, f.err = s.read(ctx)

	s.mu.Lock()
	defer s.mu.Unlock()
	if f.err == nil {
		s.login, s.expires = f.login, time.Now().Add(cacheFor)
	}
	s.running = nil
	close(f.done)
}

func (s *SecretsManager) read(ctx context.Context) (Login, error) {
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &s.secretID})
	if err != nil {
		return Login{}, fmt.Errorf("read secret %s: %w", s.secretID, err)
	}
	login, err := parse(aws.ToString(out.SecretString))
	if err != nil {
		return Login{}, fmt.Errorf("read secret %s: %w", s.secretID, err)
	}
	return login, nil
}

// parse reads the JSON that RDS and CDK write. Its errors never quote the secret,
// as those of encoding/json may.
func parse(secret string) (Login, error) {
	var fields struct {
		Username, Password, Host, DBName string
		Port                             json.Number // a string in secrets written by hand
	}
	if err := json.Unmarshal([]byte(secret), &fields); err != nil {
		return Login{}, errors.New("must be a JSON object of username, password and optionally host, port, dbname")
	}
	if fields.Username == "" || fields.Password == "" {
		return Login{}, errors.New("must hold username and password")
	}
	login := Login{Username: fields.Username, Password: Secret(fields.Password), Host: fields.Host, Database: fields.DBName}
	if fields.Port != "" {
		port, err := strconv.ParseUint(fields.Port.String(), 10, 16)
		if err != nil {
			return Login{}, errors.New("port must be a number from 1 to 65535")
		}
		login.Port = uint16(port)
	}
	return login, nil
}
