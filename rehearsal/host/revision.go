package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"

	"example.com/todo/rehearsal/account"
)

// A revision is what a service's instances are started from, with their ways out.
type revision struct {
	host        *Host
	spec        account.Service
	command     command
	environment []string
	ways        []*Proxy
	instances   sync.WaitGroup

	mu   sync.Mutex
	lost map[string]string // where the last connection to it did not arrive, and why
}

// newRevision gives the instances what the plan gives them, its secrets as they are now, and what the platform adds: the role's credentials, where the
// endpoints of this simulation are, and the root certificates that vouch for them. (RUN-1)
func (h *Host) newRevision(ctx context.Context, spec account.Service) (*revision, error) {
	command, err := h.pull(ctx, spec)
	if err != nil {
		return nil, err
	}
	r := &revision{host: h, spec: spec, command: command, lost: map[string]string{}}
	variables := maps.Clone(spec.Environment)
	if variables == nil {
		variables = map[string]string{}
	}
	variables["SSL_CERT_FILE"] = h.RootCertificates()
	// The service listens on every interface of its container; this machine is no container.
	variables["LISTEN_HOST"] = loopback
	if err := errors.Join(r.leadOut(variables), r.inject(variables), r.grant(variables)); err != nil {
		return nil, errors.Join(err, r.close())
	}
	for name, value := range variables {
		r.environment = append(r.environment, name+"="+value)
	}
	return r, nil
}

// inject reads the environment's secrets. Instances that are started later get what was read now. (AR-30, AR-32)
func (r *revision) inject(variables map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(r.spec.Secrets)) {
		value, err := r.host.Account.Injected(r.spec.RoleARN, r.spec.Region, r.spec.Secrets[name])
		if err != nil {
			return fmt.Errorf("Failed to retrieve the secret of the environment variable %s: %w", name, err)
		}
		variables[name] = value
	}
	return nil
}

func (r *revision) grant(variables map[string]string) error {
	if r.spec.RoleARN == "" {
		return nil
	}
	url, token, err := r.host.platform.grant(grant{r.spec.RoleARN, r.spec.ARN})
	variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url
	variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = token
	return err
}

// leadOut lays the ways to what an instance may connect to: Secrets Manager, and a database that its environment names.
func (r *revision) leadOut(variables map[string]string) error {
	secrets, err := r.way(secretsManager, func(client net.Conn) error {
		way, err := r.host.Account.APIPath(r.spec.ConnectorARN, r.spec.Region, secretsAPI)
		if err == nil {
			r.found(secretsManager)
			r.host.platform.carry(client, passage{r, way.Endpoint})
		}
		return err
	})
	if err != nil {
		return err
	}
	variables["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = "https://" + secrets.Addr
	for _, to := range r.spec.Databases {
		database, err := r.way(to.Host, func(client net.Conn) error {
			if err := r.host.Account.DatabasePath(r.spec.ConnectorARN, to); err != nil {
				return err
			}
			r.found(to.Host)
			if addr, running := r.host.resolve(to.Host); running {
				relay(client, addr)
			}
			return nil
		})
		if err != nil {
			return err
		}
		variables["DATABASE_HOSTADDR"] = database.Addr
	}
	return nil
}

// secretsManager is the API that the host serves, and secretsAPI what it is called in the names of endpoint services.
const (
	secretsManager = "Secrets Manager"
	secretsAPI     = "secretsmanager"
)

// way has connections to a destination carried for as long as the network has a path to it. Where there is none they are
// answered by nothing, not refused: a client sees its own time-out, as on AWS. Where nothing listens they end at once. (NET-1, NET-9)
func (r *revision) way(to string, carry func(net.Conn) error) (*Proxy, error) {
	proxy, err := newProxy(func(client net.Conn) {
		err := carry(client)
		if err == nil {
			return
		}
		r.lose(to, err)
		if !errors.Is(err, account.ErrRefused) {
			_, _ = io.Copy(io.Discard, client) // until the client gives up
		}
	})
	if err == nil {
		r.ways = append(r.ways, proxy)
	}
	return proxy, err
}

// mayAsk says whether the network has a path to Secrets Manager in a region, of which the service's own is taken care of by
// the way there. (NET-6)
func (r *revision) mayAsk(region string) bool {
	if region == r.spec.Region {
		return true
	}
	to := secretsManager + " in " + region
	_, err := r.host.Account.APIPath(r.spec.ConnectorARN, region, secretsAPI)
	if err != nil {
		r.lose(to, err)
		return false
	}
	r.found(to)
	return true
}

// lose tells people, once, what AWS leaves to be found out.
func (r *revision) lose(to string, reason error) {
	r.mu.Lock()
	told := r.lost[to] == reason.Error()
	r.lost[to] = reason.Error()
	r.mu.Unlock()
	if !told {
		fmt.Fprintf(r.host.log, "rehearsal: %s (AWS would say nothing of the kind)\n", r.unreached(to, reason.Error()))
	}
}

func (r *revision) found(to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.lost, to)
}

func (r *revision) unreached(to, reason string) string {
	return fmt.Sprintf("%s cannot reach %s: %s", r.spec.Name, to, reason)
}

// missing is what the instances' last connections did not reach, and why.
func (r *revision) missing() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, to := range slices.Sorted(maps.Keys(r.lost)) {
		all = append(all, r.unreached(to, r.lost[to]))
	}
	return all
}

// close cuts the ways as soon as all instances have ended, which somebody must have seen to. The first revision of a service
// comes after none.
func (r *revision) close() error {
	if r == nil {
		return nil
	}
	r.instances.Wait()
	var problems []error
	for _, way := range r.ways {
		problems = append(problems, way.close())
	}
	return errors.Join(problems...)
}
