package account

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
)

// A secret is a cluster's managed master secret. https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-secrets-manager.html
type secret struct {
	arn, username, password string
}

// manageSecret makes the secret of a cluster: a name with an exclamation mark and a value of two keys. (SM-1)
func (a *Account) manageSecret(region, number, username string) *secret {
	s := &secret{
		arn:      fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:rds!cluster-%s-%s", region, ID, uuid(number), number[:6]),
		username: username,
		password: rand.Text(),
	}
	a.secrets[s.arn] = s
	return s
}

func (a *Account) forgetSecret(arn string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.secrets, arn)
}

// GetSecretValue answers Secrets Manager's operation of that name. The error is an *APIError
// when Secrets Manager refuses. (SM-2)
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
func (a *Account) GetSecretValue(caller Caller, id string) (arn, value string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	refusal := func(code, message string) error {
		return &APIError{Service: "Secrets Manager", Operation: "GetSecretValue", Code: code, Message: message}
	}
	var found *secret
	for _, s := range a.secrets {
		if strings.Split(s.arn, ":")[3] == caller.Region && (s.arn == id || nameOf(s.arn) == id) {
			found = s
		}
	}
	resource := id
	if found != nil {
		resource = found.arn
	}
	// Access is decided before existence, so that nobody learns from a refusal what there is.
	if err := a.authorize(caller, "secretsmanager:GetSecretValue", resource); err != nil {
		return "", "", refusal("AccessDeniedException", err.Error())
	}
	if found == nil {
		return "", "", refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	document, err := json.Marshal(map[string]string{"username": found.username, "password": found.password})
	if err != nil {
		return "", "", fmt.Errorf("write the value of secret %s: %w", found.arn, err)
	}
	return found.arn, string(document), nil
}

// nameOf is a secret's name: the last part of its ARN without the six characters that Secrets Manager adds.
func nameOf(arn string) string {
	for i := len(arn) - 1; i >= 0; i-- {
		if arn[i] == ':' {
			return arn[i+1 : len(arn)-7]
		}
	}
	return arn
}

// uuid writes 32 hexadecimal digits as a UUID.
func uuid(digits string) string {
	return digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:32]
}
