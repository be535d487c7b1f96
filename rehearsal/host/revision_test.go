package host

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"example.com/todo/rehearsal/account"
)

const (
	groupToken   = "aws:ec2/securityGroup:SecurityGroup"
	egressToken  = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
	ingressToken = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
)

func (c *cloud) mustMake(t *testing.T, token, name string, p props) made {
	t.Helper()
	m, err := c.make(token, name, p)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// only are the ids of what there is of one type, and of one name if it is not empty.
func (c *cloud) only(token, name string) []any {
	var ids []any
	for _, r := range c.host.Account.Resources() {
		if r.Token == token && (name == "" || strings.HasPrefix(r.State["name"].StringValue(), name)) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// connected is a service that is meant to reach a database and Secrets Manager, but whose groups let nothing through yet.
func (c *cloud) connected(t *testing.T, cluster made) (spec account.Service, group made) {
	t.Helper()
	vpc := c.only("aws:ec2/vpc:Vpc", "")[0]
	group = c.mustMake(t, groupToken, "service", props{"vpcId": vpc})
	connector := c.mustMake(t, "aws:apprunner/vpcConnector:VpcConnector", "connector", props{
		"vpcConnectorName": "todo-test", "subnets": c.only("aws:ec2/subnet:Subnet", ""), "securityGroups": []any{group.id}})
	spec = newSpec("one", map[string]string{"DATABASE_HOST": cluster.output("endpoint")})
	spec.ConnectorARN, spec.Databases = connector.id, []account.Destination{{Host: cluster.output("endpoint"), Port: 5432}}
	return spec, group
}

// knock opens a connection to an address that an instance was given, and says the first word.
func knock(t *testing.T, address string, word []byte) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Write(word); err != nil {
		t.Fatal(err)
	}
	return conn
}

// greeting is what a PostgreSQL client sends first: that it wants TLS.
var greeting = binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, sslRequest)

// RUN-1, NET-1
func TestWhatTheNetworkDoesNotReachHangs(t *testing.T) {
	c := newCloud(t)
	cluster, err := c.cluster()
	if err != nil {
		t.Fatal(err)
	}
	spec, group := c.connected(t, cluster)
	host := c.mustDeploy(t, spec)
	variables := c.environments(t, spec.ARN)[0]
	database, secrets := variables["DATABASE_HOSTADDR"], strings.TrimPrefix(variables["AWS_ENDPOINT_URL_SECRETS_MANAGER"], "https://")

	for _, way := range []struct{ address, to, lacks string }{
		{database, cluster.output("endpoint"), "let nothing out to"}, {secrets, "Secrets Manager", "has no endpoint for com.amazonaws.eu-west-1.secretsmanager"},
	} {
		conn := knock(t, way.address, greeting)
		told := func() bool {
			said := strings.Join(c.host.Unreached(), "\n")
			return strings.Contains(said, "todo cannot reach "+way.to) && strings.Contains(said, way.lacks)
		}
		await(t, "what the way to "+way.to+" lacks is told", told)
		// A moment in which a refusal would have come.
		if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s answered: %d, %v", way.to, n, err)
		}
	}
	if status, body := mustGet(t, c.client(t), "https://"+host+"/revision"); status != 200 || body != "one" {
		t.Errorf("the service itself answers %d %q", status, body)
	}

	guards := c.only(groupToken, "database")[0]
	c.mustMake(t, egressToken, "out", props{"securityGroupId": group.id, "referencedSecurityGroupId": guards, "ipProtocol": "-1"})
	c.mustMake(t, ingressToken, "in", props{"securityGroupId": guards, "referencedSecurityGroupId": group.id, "ipProtocol": "tcp", "fromPort": 5432, "toPort": 5432})
	answer := make([]byte, 1)
	if _, err := io.ReadFull(knock(t, database, greeting), answer); err != nil || answer[0] != 'S' {
		t.Errorf("with rules for it the database answered %q, %v", answer, err)
	}
	for _, said := range c.host.Unreached() {
		if strings.Contains(said, cluster.output("endpoint")) {
			t.Errorf("still told after the database was reached: %s", said)
		}
	}
}

// NET-9
func TestAWrongPortReachesNoDatabase(t *testing.T) {
	c := newCloud(t)
	cluster, err := c.cluster()
	if err != nil {
		t.Fatal(err)
	}
	spec, group := c.connected(t, cluster)
	guards := c.only(groupToken, "database")[0]
	c.mustMake(t, egressToken, "out", props{"securityGroupId": group.id, "referencedSecurityGroupId": guards, "ipProtocol": "-1"})
	in := func(name string, port int) {
		c.mustMake(t, ingressToken, name, props{"securityGroupId": guards, "referencedSecurityGroupId": group.id, "ipProtocol": "tcp", "fromPort": port, "toPort": port})
	}
	in("in", 5432)
	spec.Databases[0].Port = 5433
	c.mustDeploy(t, spec)
	address := c.environments(t, spec.ARN)[0]["DATABASE_HOSTADDR"]
	told := func(want string) func() bool {
		return func() bool { return strings.Contains(strings.Join(c.host.Unreached(), "\n"), want) }
	}

	hangs := knock(t, address, greeting)
	await(t, "it is told that the rules are for another port", told("let nothing in from"))
	if err := hangs.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := hangs.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("where no rule leads it answered: %d, %v", n, err)
	}

	in("open", 5433)
	refused := knock(t, address, greeting)
	if _, err := io.ReadFull(refused, make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("where nothing listens the connection ended with %v, want an end at once", err)
	}
	await(t, "it is told that nothing listens there", told("connects to port 5433, and the database is on port 5432"))
}

// NET-1
func TestAServiceWithoutConnectorReachesAWSAndNoDatabase(t *testing.T) {
	c := newCloud(t)
	cluster, err := c.cluster()
	if err != nil {
		t.Fatal(err)
	}
	spec := newSpec("one", map[string]string{"DATABASE_HOST": cluster.output("endpoint")})
	spec.Databases = []account.Destination{{Host: cluster.output("endpoint"), Port: 5432}}
	c.mustDeploy(t, spec)
	variables := c.environments(t, spec.ARN)[0]
	knock(t, variables["DATABASE_HOSTADDR"], greeting)
	await(t, "it is told that the database is not reached", func() bool {
		return strings.Contains(strings.Join(c.host.Unreached(), "\n"), "only a service with egress through a VPC connector")
	})
	if _, body := mustGet(t, c.client(t), variables["AWS_ENDPOINT_URL_SECRETS_MANAGER"]); !strings.Contains(body, "MissingAuthenticationToken") {
		t.Errorf("Secrets Manager answers %q, want its own refusal", body)
	}
}

// NET-6, NET-8
func TestSecretsManagerIsAskedThroughTheEndpoint(t *testing.T) {
	c := newCloud(t)
	vpc := c.mustMake(t, "aws:ec2/vpc:Vpc", "vpc", props{"cidrBlock": "10.0.0.0/16", "enableDnsHostnames": true})
	subnet := c.mustMake(t, "aws:ec2/subnet:Subnet", "subnet", props{"vpcId": vpc.id, "cidrBlock": "10.0.0.0/24"})
	group := c.mustMake(t, groupToken, "all", props{"vpcId": vpc.id})
	for _, token := range []string{egressToken, ingressToken} {
		c.mustMake(t, token, "all", props{"securityGroupId": group.id, "referencedSecurityGroupId": group.id, "ipProtocol": "-1"})
	}
	c.mustMake(t, "aws:ec2/vpcEndpoint:VpcEndpoint", "secrets", props{
		"vpcId": vpc.id, "serviceName": "com.amazonaws.eu-west-1.secretsmanager", "vpcEndpointType": "Interface", "privateDnsEnabled": true,
		"subnetIds": []any{subnet.id}, "securityGroupIds": []any{group.id},
		"policy": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"secretsmanager:*","NotResource":"arn:aws:secretsmanager:*:*:secret:forbidden"}}`,
	})
	connector := c.mustMake(t, "aws:apprunner/vpcConnector:VpcConnector", "connector", props{
		"vpcConnectorName": "todo-test", "subnets": []any{subnet.id}, "securityGroups": []any{group.id}})
	spec := newSpec("one", nil)
	spec.ConnectorARN, spec.RoleARN = connector.id, c.mustRole(t, "own", tasksPrincipal, "*")
	c.mustDeploy(t, spec)
	variables := c.environments(t, spec.ARN)[0]

	ask := func(ctx context.Context, region, secret string) error {
		_, err := secretsmanager.New(secretsmanager.Options{
			Region: region, BaseEndpoint: aws.String(variables["AWS_ENDPOINT_URL_SECRETS_MANAGER"]), HTTPClient: c.client(t), Retryer: aws.NopRetryer{},
			Credentials: c.credentialsIn(variables),
		}).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &secret})
		return err
	}
	mustBeRefused(t, ask(t.Context(), region, "unknown"), "ResourceNotFoundException")
	mustBeRefused(t, ask(t.Context(), region, "arn:aws:secretsmanager:eu-west-1:123456789012:secret:forbidden"), "AccessDeniedException")

	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() { answered <- ask(ctx, "us-east-1", "unknown") }()
	await(t, "it is told that another region is not reached", func() bool {
		return strings.Contains(strings.Join(c.host.Unreached(), "\n"), "has no endpoint for com.amazonaws.us-east-1.secretsmanager")
	})
	cancel()
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Errorf("another region answered: %v", err)
	}
}
