package account

import (
	"context"
	"fmt"

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

// DeleteSecret answers Secrets Manager's operation of that name, which it refuses for secrets that RDS manages. (SM-5)
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/service-linked-secrets.html
func (a *Account) DeleteSecret(id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	refusal := func(code, message string) error {
		return &APIError{Service: "Secrets Manager", Operation: "DeleteSecret", Code: code, Message: message}
	}
	if a.findSecret(id) == nil {
		return refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	return refusal("InvalidRequestException", "You can't delete this secret because it is managed by another service: rds")
}
