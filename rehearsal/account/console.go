package account

import (
	"context"
	"fmt"
	"regexp"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"example.com/todo/rehearsal/provider"
)

// Modify changes a resource as a person in AWS's console would, of whom Pulumi knows nothing: by property path, with nil for a
// property that goes. What AWS refuses is refused. (ACC-2)
func (a *Account) Modify(ctx context.Context, token, id string, changes map[string]any) error {
	inputs, _, err := a.Read(ctx, provider.Session{}, token, id)
	if err != nil {
		return fmt.Errorf("modify %s %s: %w", token, id, err)
	}
	changed := resource.NewProperty(inputs)
	for path, value := range changes {
		steps, err := resource.ParsePropertyPath(path)
		if err != nil {
			return fmt.Errorf("modify %s %s: %w", token, id, err)
		}
		if !steps.Set(changed, resource.NewPropertyValue(value)) {
			return fmt.Errorf("modify %s %s: it has no %s", token, id, path)
		}
	}
	_, err = a.Update(ctx, provider.Session{}, token, id, inputs)
	return err
}

// Remove deletes a resource in the same way. (ACC-2)
func (a *Account) Remove(ctx context.Context, token, id string) error {
	if _, _, err := a.Read(ctx, provider.Session{}, token, id); err != nil {
		return fmt.Errorf("remove %s %s: %w", token, id, err)
	}
	return a.Delete(ctx, provider.Session{}, token, id)
}

// peoplesSecret is the ARN of a secret that is not RDS's.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
var peoplesSecret = regexp.MustCompile(`^arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]{1,512}-[A-Za-z0-9]{6}$`)

// PutSecret has a secret hold a text, as somebody who makes it in the console, or changes it there. Its ARN is the caller's, since
// programs are told it before they run. (SM-6)
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
func (a *Account) PutSecret(arn, text string) error {
	if !peoplesSecret.MatchString(arn) {
		return fmt.Errorf("%q is not the whole ARN of a secret, such as arn:aws:secretsmanager:eu-west-1:%s:secret:todo/keys-AbCdEf", arn, ID)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.secrets[arn]
	if s == nil {
		s = &secret{arn: arn}
		a.secrets[arn] = s
	}
	next := newVersion(stagePending)
	next.password, next.text = "", text
	s.versions = append([]version{next}, s.versions...)
	s.moveStages()
	return nil
}

// DeleteSecret answers Secrets Manager's operation of that name, which it refuses for secrets that RDS manages; others go at once, as if forced
// to. (SM-5, SM-6)
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/service-linked-secrets.html
func (a *Account) DeleteSecret(id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	refusal := func(code, message string) error {
		return &APIError{Service: "Secrets Manager", Operation: "DeleteSecret", Code: code, Message: message}
	}
	s := a.findSecret(id)
	if s == nil {
		return refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	if !s.managed() {
		delete(a.secrets, s.arn)
		return nil
	}
	return refusal("InvalidRequestException", "You can't delete this secret because it is managed by another service: rds")
}
