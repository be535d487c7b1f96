package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"example.com/todo/rehearsal/account"
	"example.com/todo/rehearsal/provider"
	"example.com/todo/rehearsal/schema"
)

const region = "eu-west-1"

type props = map[string]any

// A cloud is a host whose account is filled as the provider protocol fills it.
type cloud struct {
	host   *Host
	ctx    context.Context
	props  props  // the cluster's, once there is one
	reader string // a role that reads secrets, once there is one
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	// A folder of the test's own shows what is left behind.
	t.Setenv("TMPDIR", t.TempDir())
	h, err := New(t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	c := &cloud{host: h, ctx: t.Context()}
	if err := c.repository(); err != nil {
		t.Fatal(err)
	}
	return c
}

// A made is a resource in the account.
type made struct {
	id    string
	state resource.PropertyMap
}

func (m made) output(name resource.PropertyKey) string { return m.state[name].StringValue() }

func (c *cloud) make(token, name string, p props) (made, error) {
	t, known := c.host.Account.Type(token)
	if !known {
		return made{}, fmt.Errorf("the account has no type %s", token)
	}
	inputs, failures := t.Check(schema.CheckRequest{LogicalName: name, Seed: []byte(name), News: resource.NewPropertyMapFromMap(p)})
	if len(failures) > 0 {
		return made{}, fmt.Errorf("check %s: %w", name, failures[0])
	}
	urn := resource.URN("urn:pulumi:test::todo::" + token + "::" + name)
	id, state, err := c.host.Account.Create(c.ctx, provider.Session{Region: region}, urn, inputs)
	return made{id, state}, err
}

// cluster makes a database with a managed secret, and with it the network that it needs.
func (c *cloud) cluster() (made, error) {
	vpc, err := c.make("aws:ec2/vpc:Vpc", "vpc", props{"cidrBlock": "10.0.0.0/16"})
	if err != nil {
		return made{}, err
	}
	var subnets []any
	for n, zone := range []string{"a", "b"} {
		subnet, err := c.make("aws:ec2/subnet:Subnet", zone, props{
			"vpcId": vpc.id, "availabilityZone": region + zone, "cidrBlock": fmt.Sprintf("10.0.%d.0/24", n)})
		if err != nil {
			return made{}, err
		}
		subnets = append(subnets, subnet.id)
	}
	group, err := c.make("aws:rds/subnetGroup:SubnetGroup", "subnets", props{"subnetIds": subnets})
	if err != nil {
		return made{}, err
	}
	guards, err := c.make(groupToken, "database", props{"vpcId": vpc.id})
	if err != nil {
		return made{}, err
	}
	c.props = props{
		"clusterIdentifier": "todo-test", "engine": "aurora-postgresql", "engineVersion": "17", "databaseName": "tasks",
		"masterUsername": "tasks", "manageMasterUserPassword": true, "storageEncrypted": true, "skipFinalSnapshot": true, "applyImmediately": true,
		"dbSubnetGroupName": group.id, "vpcSecurityGroupIds": []any{guards.id}, "serverlessv2ScalingConfiguration": capacity(0, 1),
	}
	cluster, err := c.make(clusterToken, "cluster", c.props)
	if err != nil {
		return made{}, err
	}
	_, err = c.instance("todo-test-1")
	return cluster, err
}

const (
	clusterToken  = "aws:rds/cluster:Cluster"
	instanceToken = "aws:rds/clusterInstance:ClusterInstance"
)

func capacity(least, most float64) props { return props{"minCapacity": least, "maxCapacity": most} }

// instance makes an instance of the cluster.
func (c *cloud) instance(identifier string) (made, error) {
	return c.make(instanceToken, identifier, props{
		"identifier": identifier, "clusterIdentifier": c.props["clusterIdentifier"], "engine": "aurora-postgresql", "instanceClass": "db.serverless"})
}

// change changes some of a resource's properties.
func (c *cloud) change(token string, m made, all, some props) error {
	t, _ := c.host.Account.Type(token)
	maps.Copy(all, some)
	inputs, failures := t.Check(schema.CheckRequest{LogicalName: m.id, Seed: []byte(m.id), News: resource.NewPropertyMapFromMap(all)})
	if len(failures) > 0 {
		return failures[0]
	}
	_, err := c.host.Account.Update(c.ctx, provider.Session{Region: region}, token, m.id, inputs)
	return err
}

// connect connects to one of a cluster's endpoints as the master user, with the password that the secret now has.
func (c *cloud) connect(cluster made, endpoint string, change func(*pgx.ConnConfig)) (*pgx.Conn, error) {
	secret, err := c.secret(cluster, account.StageCurrent)
	if err != nil {
		return nil, err
	}
	addr, known := c.host.resolve(endpoint)
	if !known {
		return nil, fmt.Errorf("the host knows no %s", endpoint)
	}
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(c.host.RootCertificates())
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config.Host, config.Port, config.Database, config.User, config.Password = endpoint, 5432, "tasks", secret.Username, secret.Password
	config.TLSConfig = &tls.Config{ServerName: endpoint, RootCAs: roots, MinVersion: tls.VersionTLS12}
	config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{loopback}, nil }
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp4", addr)
	}
	change(config)
	return pgx.ConnectConfig(c.ctx, config)
}

type login struct{ Username, Password string }

// secret is what a cluster's managed secret holds at a stage, as a role reads it that may.
func (c *cloud) secret(cluster made, stage string) (login, error) {
	var l login
	if c.reader == "" {
		var err error
		if c.reader, err = c.role("reader", tasksPrincipal, "*"); err != nil {
			return l, err
		}
	}
	value, err := c.host.Account.GetSecretValue(account.Caller{RoleARN: c.reader, Region: region}, secretOf(cluster), "", stage)
	if err != nil {
		return l, err
	}
	return l, json.Unmarshal([]byte(value.Value), &l)
}

// role makes a role that a service may assume and that may read the secrets of the given ARN; none when that is empty.
func (c *cloud) role(name, service, secretARN string) (string, error) {
	role, err := c.make("aws:iam/role:Role", name, props{"assumeRolePolicy": `{"Version":"2012-10-17","Statement":[{
		"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`})
	c.host.Account.Clock.Skip(time.Minute) // the role is known everywhere
	if err != nil || secretARN == "" {
		return role.output("arn"), err
	}
	_, err = c.make("aws:iam/rolePolicy:RolePolicy", name, props{"role": role.id, "policy": `{"Version":"2012-10-17","Statement":[{
		"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"` + secretARN + `"}]}`})
	return role.output("arn"), err
}

// newSpec is one instance of this very program with some more environment.
func newSpec(name string, environment map[string]string) account.Service {
	variables := map[string]string{roleVariable: "instance", "REVISION": name}
	maps.Copy(variables, environment)
	return account.Service{
		ARN: "arn:aws:apprunner:eu-west-1:123456789012:service/todo/1", Name: "todo", Region: region,
		Image: repositoryURL + ":v1", AccessRoleARN: accessRole, Port: "8080", Environment: variables,
		Scaling: account.Scaling{Least: 1, Most: 1, Concurrency: 100},
		Health:  account.HealthCheck{Protocol: "HTTP", Path: "/health", Timeout: 5, Healthy: 1},
	}
}

// two are always two instances.
var two = account.Scaling{Least: 2, Most: 2, Concurrency: 100}

func (c *cloud) mustDeploy(t *testing.T, spec account.Service) (host string) {
	t.Helper()
	host, err := c.host.Deploy(c.ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	return host
}

// running are the addresses of a service's instances.
func (c *cloud) running(arn string) []string {
	c.host.mu.Lock()
	s := c.host.services[arn]
	c.host.mu.Unlock()
	s.front.mu.Lock()
	defer s.front.mu.Unlock()
	var addresses []string
	for _, i := range s.front.instances {
		addresses = append(addresses, i.addr)
	}
	return addresses
}

// alive are the addresses of all instances that were ever started and still listen.
func (c *cloud) alive(t *testing.T) []string {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(c.host.dir, "logs", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if address, found := strings.CutPrefix(strings.TrimSpace(line), addressLine); found && listens(address) {
				addresses = append(addresses, address)
			}
		}
	}
	return addresses
}

// listening are the addresses of everything that runs.
func (c *cloud) listening(cluster made, spec account.Service) []string {
	c.host.mu.Lock()
	d, s := c.host.databases[cluster.id], c.host.services[spec.ARN]
	c.host.mu.Unlock()
	addresses := c.running(spec.ARN)
	for _, way := range s.current.ways {
		addresses = append(addresses, way.Addr)
	}
	return append(addresses, d.proxy(d.spec.Endpoint).Addr, d.server.Addr, s.front.host,
		c.host.platform.awsURL[len("https://"):], c.host.platform.credentialsURL[len("http://"):])
}

func listens(address string) bool {
	conn, err := net.Dial("tcp4", address)
	if err != nil {
		return false
	}
	_ = conn.Close() // it was there
	return true
}

// client trusts the host's authority and nobody else.
func (c *cloud) client(t *testing.T) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(c.host.RootCertificates())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate in %s", c.host.RootCertificates())
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(client *http.Client, url string) (status int, body string, err error) {
	response, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

func mustGet(t *testing.T, client *http.Client, url string) (status int, body string) {
	t.Helper()
	status, body, err := get(client, url)
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

// await gives what must come to pass a time that only a failure needs.
func await(t *testing.T, what string, passed func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	for !passed() {
		select {
		case <-limit:
			t.Fatalf("still not so: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
