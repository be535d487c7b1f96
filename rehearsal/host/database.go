package host

import (
	"context"
	"errors"
	"fmt"
	"net"

	"example.com/todo/service/postgres/postgrestest"

	"example.com/todo/rehearsal/account"
)

// A database is a cluster's PostgreSQL and the proxy through which alone it is reached.
type database struct {
	endpoint string
	server   *postgrestest.Server
	proxy    *Proxy
}

// StartDatabase implements account.Runtime. (RUN-4)
func (h *Host) StartDatabase(ctx context.Context, spec account.Database) error {
	ctx, done, err := h.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	dir, err := h.Folder("certificates")
	if err != nil {
		return err
	}
	certFile, keyFile, err := h.authority.files(dir, spec.Endpoint)
	if err != nil {
		return err
	}
	server, err := postgrestest.Start(ctx, postgrestest.Options{
		User: spec.User, Password: spec.Password, Database: spec.Name, CertFile: certFile, KeyFile: keyFile, Log: h.log,
	})
	if err != nil {
		return err
	}
	proxy, err := newProxy(func(client net.Conn) { relay(client, server.Addr) })
	if err != nil {
		return errors.Join(err, server.Close())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.databases[spec.Cluster] = &database{endpoint: spec.Endpoint, server: server, proxy: proxy}
	return nil
}

// StopDatabase implements account.Runtime.
func (h *Host) StopDatabase(ctx context.Context, cluster string) error {
	_, done, err := h.begin(ctx)
	if errors.Is(err, errClosed) {
		return nil
	}
	defer done()
	h.mu.Lock()
	d := h.databases[cluster]
	delete(h.databases, cluster)
	h.mu.Unlock()
	if d == nil {
		return nil
	}
	return d.close()
}

// Database is the way to a cluster's PostgreSQL, for a test that disturbs it.
func (h *Host) Database(cluster string) (*Proxy, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.databases[cluster]
	if d == nil {
		return nil, fmt.Errorf("cluster %s has no database", cluster)
	}
	return d.proxy, nil
}

// resolve is where the named endpoint really listens, as a private DNS would say; false for what the network does not reach.
func (h *Host) resolve(endpoint string) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.databases {
		if d.endpoint == endpoint {
			return d.proxy.Addr, true
		}
	}
	return "", false
}

func (d *database) close() error {
	return errors.Join(d.proxy.close(), d.server.Close())
}
