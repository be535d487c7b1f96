package host

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"example.com/todo/rehearsal/account"
)

// inquire signs a request as the SDK does and answers what comes back.
func inquire(t *testing.T, c *cloud, keys account.Credentials, service, target, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.host.console.url+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if target != "" {
		request.Header.Set("X-Amz-Target", target)
	}
	credentials := aws.Credentials{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.SessionToken}
	if err := signer.NewSigner().SignHTTP(context.Background(), credentials, request, digest([]byte(body)), service, region, time.Now()); err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// RUN-11
func TestTheConsoleAnswersTheDeployerOnly(t *testing.T) {
	c := newCloud(t)
	role, err := c.role("own", tasksPrincipal, "")
	if err != nil {
		t.Fatal(err)
	}
	instance, err := c.host.Account.AssumeRole(role, tasksPrincipal, "arn:aws:apprunner:"+region+":"+account.ID+":service/todo/1")
	if err != nil {
		t.Fatal(err)
	}
	deployer := c.host.Account.Deployer()
	forged := deployer
	forged.SecretAccessKey = "guessed"
	rows := map[string]struct {
		keys                  account.Credentials
		service, target, body string
		status                int
		want                  string
	}{
		"whose keys":             {deployer, "sts", "", "Action=GetCallerIdentity&Version=2011-06-15", 200, "<Arn>" + account.DeployerARN + "</Arn>"},
		"networks":               {deployer, "ec2", "", "Action=DescribeVpcs&Version=2016-11-15", 200, "<vpcSet></vpcSet>"},
		"addresses":              {deployer, "ec2", "", "Action=DescribeAddresses&Version=2016-11-15", 200, "<addressesSet></addressesSet>"},
		"services":               {deployer, "apprunner", "AppRunner.ListServices", "{}", 200, `{"ServiceSummaryList":null}`},
		"connectors":             {deployer, "apprunner", "AppRunner.ListVpcConnectors", "{}", 200, `{"VpcConnectors":null}`},
		"a quota":                {deployer, "servicequotas", "ServiceQuotasV20190624.GetServiceQuota", "{}", 400, "NoSuchResourceException"},
		"no such group":          {deployer, "logs", "Logs_20140328.FilterLogEvents", `{"logGroupName":"/x"}`, 400, "ResourceNotFoundException"},
		"what is not read":       {deployer, "apprunner", "AppRunner.DeleteService", "{}", 400, "UnknownOperationException"},
		"an instance":            {instance, "apprunner", "AppRunner.ListServices", "{}", 400, "AccessDeniedException"},
		"an instance, by a form": {instance, "ec2", "", "Action=DescribeVpcs", 403, "AccessDeniedException"},
		"forged keys":            {forged, "apprunner", "AppRunner.ListServices", "{}", 400, "InvalidSignatureException"},
		"real keys":              {account.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "x"}, "sts", "", "Action=GetCallerIdentity", 403, "UnrecognizedClientException"},
		"another service":        {deployer, "s3", "AppRunner.ListServices", "{}", 400, "InvalidSignatureException"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			status, text := inquire(t, c, row.keys, row.service, row.target, row.body)
			if status != row.status || !strings.Contains(text, row.want) {
				t.Errorf("answered %d %s, want %d with %s", status, text, row.status, row.want)
			}
		})
	}
	environment := c.host.DeployerEnvironment()
	if !slices.Contains(environment, "AWS_ENDPOINT_URL="+c.host.console.url) || !slices.Contains(environment, "AWS_SHARED_CREDENTIALS_FILE=/dev/null") {
		t.Errorf("the deployer's environment is %v", environment)
	}
}

// RUN-12
func TestWhatCarriesTagsIsListed(t *testing.T) {
	c := newCloud(t)
	for name, tags := range map[string]props{"one": {"stack": "dev", "project": "todo"}, "two": {"stack": "prod", "project": "todo"}} {
		if _, err := c.make("aws:ec2/vpc:Vpc", name, props{"cidrBlock": "10.0.0.0/16", "tags": tags}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.make("aws:iam/role:Role", "role", props{"tags": props{"stack": "dev", "project": "todo"}, "assumeRolePolicy": `{"Version":"2012-10-17","Statement":[{
		"Effect":"Allow","Principal":{"Service":"tasks.apprunner.amazonaws.com"},"Action":"sts:AssumeRole"}]}`}); err != nil {
		t.Fatal(err)
	}
	for filters, want := range map[string]int{
		`{"Key":"stack","Values":["dev"]},{"Key":"project","Values":["todo"]}`: 1, `{"Key":"stack"}`: 2, `{"Key":"stack","Values":["test"]}`: 0, `{"Key":"team"}`: 0,
	} {
		status, text := inquire(t, c, c.host.Account.Deployer(), "tagging", "ResourceGroupsTaggingAPI_20170126.GetResources", `{"TagFilters":[`+filters+`]}`)
		if got := strings.Count(text, `"ResourceARN":"arn:aws:ec2:eu-west-1:`+account.ID+`:vpc/vpc-`); status != 200 || got != want || strings.Count(text, "ResourceARN") != want {
			t.Errorf("%s: answered %d %s, want %d networks", filters, status, text, want)
		}
	}
}

// LOG-3
func TestAnInstancesAddressIsTheOneInItsContainer(t *testing.T) {
	c := newCloud(t)
	spec := newSpec("one", nil)
	c.mustDeploy(t, spec)
	lines, err := c.host.printed(spec.Name)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, line := range lines {
		said = append(said, line.Text)
	}
	if want := addressLine + "[::]:8080"; !slices.Contains(said, want) {
		t.Errorf("it printed %q, want %q among it", said, want)
	}
}

// LOG-3
func TestLogsOfAService(t *testing.T) {
	c := newCloud(t)
	logs, err := c.host.Folder("logs")
	if err != nil {
		t.Fatal(err)
	}
	early := `{"time":"2026-01-01T00:00:00Z","msg":"listening"}`
	for name, text := range map[string]string{"todo-1.log": early + "\nplain words\n", "other-1.log": "not ours\n", "todo-two-1.log": "nor this\n"} {
		if err := os.WriteFile(filepath.Join(logs, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := c.host.printed("todo")
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 2 || lines[0].Text != early || !lines[0].At.Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) ||
		lines[1].Text != "plain words" || lines[1].Stream != "instance/1" || time.Since(lines[1].At) > time.Hour {
		t.Errorf("printed %v", lines)
	}
}
