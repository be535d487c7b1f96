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

const badSignature = "InvalidSignatureException"

// verify checks a request's Signature Version 4 for a service and answers who asks which region. The error is an *account.APIError. (RUN-3)
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func verify(r *http.Request, body []byte, service string, session func(string) (account.Credentials, bool), now time.Time) (account.Caller, error) {
	var nobody account.Caller
	if r.Header.Get("Authorization") == "" {
		return nobody, denied("MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme != "AWS4-HMAC-SHA256" {
		return nobody, denied(badSignature, "the request is not signed with AWS4-HMAC-SHA256")
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[3] != service || scope[4] != "aws4_request" {
		return nobody, denied(badSignature, "Credential should be scoped to correct service: '%s'; it is %q", service, fields["Credential"])
	}
	credentials, known := session(scope[0])
	if !known || subtle.ConstantTimeCompare([]byte(credentials.SessionToken), []byte(r.Header.Get("X-Amz-Security-Token"))) != 1 {
		return nobody, denied("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	date := r.Header.Get("X-Amz-Date")
	signedAt, err := time.Parse("20060102T150405Z", date)
	if err != nil {
		return nobody, denied(badSignature, "X-Amz-Date: %v", err)
	}
	if signedAt.Before(now.Add(-skew)) || signedAt.After(now.Add(skew)) || date[:8] != scope[1] {
		return nobody, denied(badSignature, "Signature expired: %s is not within %s of %s", date, skew, now.UTC().Format("20060102T150405Z"))
	}
	signed := strings.Split(fields["SignedHeaders"], ";")
	for _, name := range append(amazonHeaders(r), "host") {
		if !slices.Contains(signed, name) {
			return nobody, denied(badSignature, "'%s' must be a 'SignedHeader' in the AWS Authorization", name)
		}
	}
	var headers strings.Builder
	for _, name := range signed {
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
	toSign := strings.Join([]string{scheme, date, strings.Join(scope[1:], "/"), digest([]byte(canonical))}, "\n")
	key := []byte("AWS4" + credentials.SecretAccessKey)
	for _, part := range scope[1:] {
		key = sum(key, part)
	}
	want := hex.EncodeToString(sum(key, toSign))
	if subtle.ConstantTimeCompare([]byte(want), []byte(fields["Signature"])) != 1 {
		return nobody, denied(badSignature, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.")
	}
	return account.Caller{RoleARN: credentials.RoleARN, Region: scope[2]}, nil
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
