package host

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"example.com/todo/rehearsal/account"
)

// denied is a refusal by one of https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html
func denied(code, format string, args ...any) error {
	return &account.APIError{Service: "Secrets Manager", Code: code, Message: fmt.Sprintf(format, args...)}
}

const (
	badSignature = "InvalidSignatureException"
	algorithm    = "AWS4-HMAC-SHA256"
	awsTime      = "20060102T150405Z"
)

// A signed is what Signature Version 4 says of a request: who signed it, when, and for what.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
type signed struct {
	scope                  []string // access key, day, region, service, terminator
	token, date, signature string
}

// holder is whose keys it was signed with, if they are this account's and for the service.
func (s signed) holder(service string, session func(string) (account.Credentials, bool)) (account.Credentials, error) {
	if len(s.scope) != 5 || s.scope[3] != service || s.scope[4] != "aws4_request" {
		return account.Credentials{}, denied(badSignature, "Credential should be scoped to correct service: '%s'; it is %q", service, strings.Join(s.scope, "/"))
	}
	credentials, known := session(s.scope[0])
	if !known || subtle.ConstantTimeCompare([]byte(credentials.SessionToken), []byte(s.token)) != 1 {
		return account.Credentials{}, denied("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	return credentials, nil
}

// within holds that it was signed at most so long ago.
func (s signed) within(limit time.Duration, now time.Time) error {
	at, err := time.Parse(awsTime, s.date)
	if err != nil {
		return denied(badSignature, "X-Amz-Date: %v", err)
	}
	if at.Before(now.Add(-limit)) || at.After(now.Add(skew)) || s.date[:8] != s.scope[1] {
		return denied(badSignature, "Signature expired: %s is not within %s of %s", s.date, limit, now.UTC().Format(awsTime))
	}
	return nil
}

// covers holds that the signature is that of the canonical request.
func (s signed) covers(canonical string, holder account.Credentials) error {
	toSign := strings.Join([]string{algorithm, s.date, strings.Join(s.scope[1:], "/"), digest([]byte(canonical))}, "\n")
	key := []byte("AWS4" + holder.SecretAccessKey)
	for _, part := range s.scope[1:] {
		key = sum(key, part)
	}
	want := hex.EncodeToString(sum(key, toSign))
	if subtle.ConstantTimeCompare([]byte(want), []byte(s.signature)) != 1 {
		return denied(badSignature, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.")
	}
	return nil
}

// verify checks a request's Signature Version 4 for a service and answers who asks which region. The error is an *account.APIError. (RUN-3)
func verify(r *http.Request, body []byte, service string, session func(string) (account.Credentials, bool), now time.Time) (account.Caller, error) {
	var nobody account.Caller
	if r.Header.Get("Authorization") == "" {
		return nobody, denied("MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme != algorithm {
		return nobody, denied(badSignature, "the request is not signed with "+algorithm)
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		fields[name] = value
	}
	s := signed{
		scope: strings.Split(fields["Credential"], "/"), token: r.Header.Get("X-Amz-Security-Token"),
		date: r.Header.Get("X-Amz-Date"), signature: fields["Signature"],
	}
	holder, err := s.holder(service, session)
	if err != nil {
		return nobody, err
	}
	if err := s.within(skew, now); err != nil {
		return nobody, err
	}
	names := strings.Split(fields["SignedHeaders"], ";")
	for _, name := range append(amazonHeaders(r), "host") {
		if !slices.Contains(names, name) {
			return nobody, denied(badSignature, "'%s' must be a 'SignedHeader' in the AWS Authorization", name)
		}
	}
	var headers strings.Builder
	for _, name := range names {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, headers.String(), fields["SignedHeaders"], digest(body)}, "\n")
	if err := s.covers(canonical, holder); err != nil {
		return nobody, err
	}
	return account.Caller{RoleARN: holder.RoleARN, Region: s.scope[2]}, nil
}

// amazonHeaders are those that must be signed where they are.
func amazonHeaders(r *http.Request) []string {
	var names []string
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			names = append(names, name)
		}
	}
	return names
}

func sum(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func digest(data []byte) string {
	hash := sha256.Sum256(data)
	return hex.EncodeToString(hash[:])
}
