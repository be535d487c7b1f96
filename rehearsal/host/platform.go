package host

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"example.com/todo/rehearsal/account"
)

const (
	// tasksPrincipal is who App Runner assumes instance roles as.
	tasksPrincipal = "tasks.apprunner.amazonaws.com"
	// credentialsLife is how long credentials say they are good for.
	credentialsLife = time.Hour
	// skew is how far a request's clock may be off. https://docs.aws.amazon.com/IAM/latest/UserGuide/signing-elements.html
	skew = 5 * time.Minute
)

// The platform is what App Runner and AWS offer to running instances: credentials of their role, and Secrets Manager.
type platform struct {
	// awsURL is where Secrets Manager answers, credentialsURL where the container credentials are.
	awsURL, credentialsURL string

	account *account.Account
	servers []*http.Server
	done    chan error

	mu     sync.Mutex
	grants map[string]grant // by container authorization token
	// through is what requests come through that come from an instance, by the address that they come from.
	through map[string]passage
}

// A grant is whose credentials the instances of a service get.
type grant struct{ roleARN, serviceARN string }

// A passage is a connection of a revision's instances, and the VPC endpoint that it goes through, if any.
type passage struct {
	revision *revision
	endpoint string
}

func startPlatform(a *account.Account, authority *authority) (*platform, error) {
	p := &platform{account: a, grants: map[string]grant{}, through: map[string]passage{}, done: make(chan error, 3)}
	certificate, err := authority.issue("localhost")
	if err != nil {
		return nil, err
	}
	aws, err := p.serve(http.HandlerFunc(p.secretsManager), &certificate)
	if err != nil {
		return nil, err
	}
	credentials, err := p.serve(http.HandlerFunc(p.containerCredentials), nil)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	p.awsURL, p.credentialsURL = "https://"+aws, "http://"+credentials
	return p, nil
}

func (p *platform) serve(handler http.Handler, certificate *tls.Certificate) (string, error) {
	listener, err := net.Listen("tcp4", loopback+":0")
	if err != nil {
		return "", fmt.Errorf("listen for the platform: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	serve := server.Serve
	if certificate != nil {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	p.servers = append(p.servers, server)
	go func() { p.done <- serve(listener) }()
	return listener.Addr().String(), nil
}

func (p *platform) close() error {
	var problems []error
	for _, server := range p.servers {
		problems = append(problems, server.Close())
	}
	for range p.servers {
		if err := <-p.done; !errors.Is(err, http.ErrServerClosed) {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// grant gives the holder of a token the credentials of a role, if App Runner's tasks may assume it.
func (p *platform) grant(g grant) (url, token string, err error) {
	if _, err := p.account.AssumeRole(g.roleARN, tasksPrincipal, g.serviceARN); err != nil {
		return "", "", fmt.Errorf("Error in assuming instance role %s: %w", g.roleARN, err)
	}
	token = rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grants[token] = g
	return p.credentialsURL + "/v1/credentials", token, nil
}

// carry passes a connection of an instance on to Secrets Manager.
func (p *platform) carry(client net.Conn, from passage) {
	server, err := net.Dial("tcp4", p.awsURL[len("https://"):])
	if err != nil {
		return
	}
	address := server.LocalAddr().String()
	p.mu.Lock()
	p.through[address] = from
	p.mu.Unlock()
	join(client, server)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.through, address)
}

// passageOf is what a request came through; nothing when it comes from no instance.
func (p *platform) passageOf(r *http.Request) passage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.through[r.RemoteAddr]
}

// containerCredentials answers the holder of a granted token, and nobody else (RUN-2), as
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html describes.
func (p *platform) containerCredentials(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	var g grant
	for token, granted := range p.grants {
		if subtle.ConstantTimeCompare([]byte(token), []byte(r.Header.Get("Authorization"))) == 1 {
			g = granted
		}
	}
	p.mu.Unlock()
	if g.roleARN == "" {
		http.Error(w, "unknown authorization token", http.StatusForbidden)
		return
	}
	credentials, err := p.account.AssumeRole(g.roleARN, tasksPrincipal, g.serviceARN)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	answer(w, http.StatusOK, "application/json", map[string]string{
		"AccessKeyId": credentials.AccessKeyID, "SecretAccessKey": credentials.SecretAccessKey, "Token": credentials.SessionToken,
		"RoleArn": g.roleARN, "Expiration": time.Now().Add(credentialsLife).UTC().Format(time.RFC3339),
	})
}

// secretsManager speaks the service's JSON protocol: who signs is verified before anything is read. (RUN-3)
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
func (p *platform) secretsManager(w http.ResponseWriter, r *http.Request) {
	refuse := func(code, message string) {
		answer(w, http.StatusBadRequest, awsJSON, map[string]string{"__type": code, "message": message})
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		refuse("SerializationException", err.Error())
		return
	}
	caller, err := verify(r, body, "secretsmanager", p.account.Session, time.Now())
	var refusal *account.APIError
	if errors.As(err, &refusal) {
		refuse(refusal.Code, refusal.Message)
		return
	}
	from := p.passageOf(r)
	if caller.Endpoint = from.endpoint; from.revision != nil && !from.revision.mayAsk(caller.Region) {
		<-r.Context().Done() // as if it had never arrived
		return
	}
	operation, found := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager.")
	if !found || operation != "GetSecretValue" {
		refuse("UnknownOperationException", "the rehearsal does not know the operation "+r.Header.Get("X-Amz-Target"))
		return
	}
	var request struct {
		SecretID     string `json:"SecretId"`
		VersionID    string `json:"VersionId"`
		VersionStage string `json:"VersionStage"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		refuse("SerializationException", err.Error())
		return
	}
	value, err := p.account.GetSecretValue(caller, request.SecretID, request.VersionID, request.VersionStage)
	switch {
	case errors.As(err, &refusal):
		refuse(refusal.Code, refusal.Message)
	case err != nil:
		answer(w, http.StatusInternalServerError, awsJSON, map[string]string{"__type": "InternalServiceError", "message": err.Error()})
	default:
		answer(w, http.StatusOK, awsJSON, map[string]any{
			"ARN": value.ARN, "VersionId": value.VersionID, "SecretString": value.Value, "VersionStages": value.Stages})
	}
}

const awsJSON = "application/x-amz-json-1.1"

func answer(w http.ResponseWriter, status int, contentType string, document any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document) // a client that is gone is no error of ours
}
