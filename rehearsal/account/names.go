package account

import (
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Actions implements fault.Named: the names are those of IAM's actions. What reads a resource is called Describe whatever
// its API calls it.
func (a *Account) Actions(token string) (create, read, update, destroy string) {
	k, known := a.kinds[token]
	if !known {
		return token, token, token, token
	}
	service := strings.ToLower(k.service) + ":"
	if k.service == "CloudWatch Logs" {
		service = "logs:"
	}
	return service + k.create, service + "Describe", service + k.update, service + k.destroy
}

// Made implements fault.Named.
func (a *Account) Made(urn resource.URN) (id string, state resource.PropertyMap, made bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.byURN[urn]
	if r == nil || a.resources[r.Token][r.ID] != r {
		return "", nil, false
	}
	return r.ID, r.State.Copy(), true
}
