package account_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"example.com/todo/rehearsal/account"
)

// PRO-4
func TestNamesAndTagsAreFilledIn(t *testing.T) {
	w := newCloud(t).world()
	role := w.made["access"]
	if name := role.state["name"].(string); !strings.HasPrefix(name, "access-") || len(name) != len("access-")+7 {
		t.Errorf("automatic name %q, want access-xxxxxxx", name)
	}
	again, refused := w.check(role.token, role.name, w.props["access"], role.inputs)
	if refused != nil {
		t.Fatal(refused.text)
	}
	if got := again.AsMap()["name"]; got != role.id {
		t.Errorf("the automatic name changed from %q to %q", role.id, got)
	}
	if tags := w.made["vpc"].state["tagsAll"]; fmt.Sprint(tags) != "map[project:todo]" {
		t.Errorf("tagsAll %v, want the default tags", tags)
	}
}

// AR-2
func TestTracingInUseIsNotDeleted(t *testing.T) {
	w := newCloud(t).world()
	if _, refused := w.update(w.made["service"], w.props["service"].with(props{"observabilityConfiguration": props{
		"observabilityEnabled": true, "observabilityConfigurationArn": w.made["tracing"].id}})); refused != nil {
		t.Fatal(refused.text)
	}
	w.mustRefuse(w.remove(w.made["tracing"]), "up", "The observability configuration is being used by other services")
	if _, refused := w.update(w.made["service"], w.props["service"].with(props{"observabilityConfiguration": props{"observabilityEnabled": false}})); refused != nil {
		t.Fatal(refused.text)
	}
	if refused := w.remove(w.made["tracing"]); refused != nil {
		t.Error(refused.text)
	}
}

// AR-20
func TestCustomDomainAnswersWithTheRecordsForItsZone(t *testing.T) {
	w := newCloud(t).world()
	domain := w.made["domain"].state
	records := domain["certificateValidationRecords"].([]any)
	if len(records) != 2 || domain["dnsTarget"] != w.made["service"].state["serviceUrl"] || domain["status"] != "pending_certificate_dns_validation" {
		t.Errorf("%v, want the service as target and a record each for the domain and www", domain)
	}
	for i, suffix := range []string{".example.com.", ".www.example.com."} {
		record := records[i].(map[string]any)
		if name := record["name"].(string); !strings.HasPrefix(name, "_") || !strings.HasSuffix(name, suffix) || record["type"] != "CNAME" {
			t.Errorf("record %v, want a CNAME below %s", record, suffix)
		}
	}
}

// WAF-2
func TestTakingAnOldWebACLAwayTakesTheNewOneToo(t *testing.T) {
	w := newCloud(t).world()
	old := w.made["firewall"]
	successor := w.make(old.token, "successor", w.props["firewall"].with(props{"webAclArn": webACL("eu-west-1", "regional", "two")}))
	if refused := w.remove(old); refused != nil {
		t.Fatal(refused.text)
	}
	read, err := w.client.Read(t.Context(), &pulumirpc.ReadRequest{Id: successor.id, Urn: urn(successor.token, successor.name)})
	if err != nil {
		t.Fatal(err)
	}
	if read.GetId() != "" {
		t.Error("the service is still behind the new web ACL, want it behind none")
	}
}

// SNS-3
func TestAnEmailIsPendingUntilItsOwnerConfirms(t *testing.T) {
	if pending := newCloud(t).world().made["subscription"].state["pendingConfirmation"]; pending != true {
		t.Errorf("pending: %v, want true", pending)
	}
}

// PRO-5
func TestWhatForcesAReplacement(t *testing.T) {
	w := newCloud(t).world()
	rows := []struct {
		of          string
		change      props
		replaces    bool
		deleteFirst bool
	}{
		{"cluster", props{"databaseName": "other"}, true, false},
		{"cluster", props{"serverlessv2ScalingConfiguration.maxCapacity": 4}, false, false},
		{"service", props{"instanceConfiguration.cpu": "512"}, false, false},
		{"service", props{"serviceName": "other"}, true, false},
		{"scaling", props{"maxSize": 9}, true, false},
		{"subnet", props{"cidrBlock": "10.0.50.0/24"}, true, false},
		{"caller", props{"description": "another"}, true, false},
		{"caller", props{"name": "explicit"}, true, true},
		{"lifecycle", props{"policy": lifecycle("any", "imageCountMoreThan", 5)}, true, true},
	}
	for _, row := range rows {
		of := strings.Replace(row.of, "subnet", "private1", 1)
		t.Run(fmt.Sprint(of, row.change), func(t *testing.T) {
			m := w.made[of]
			news, refused := w.check(m.token, m.name, w.props[of].with(row.change), m.inputs)
			if refused != nil {
				t.Fatal(refused.text)
			}
			olds, err := structpb.NewStruct(m.inputs)
			if err != nil {
				t.Fatal(err)
			}
			diff, err := w.client.Diff(t.Context(), &pulumirpc.DiffRequest{Urn: urn(m.token, m.name), Id: m.id, OldInputs: olds, News: news})
			if err != nil {
				t.Fatal(err)
			}
			if got := len(diff.GetReplaces()) > 0; got != row.replaces || diff.GetChanges() != pulumirpc.DiffResponse_DIFF_SOME {
				t.Errorf("replaces: %v (%v), want %v", got, diff.GetDiffs(), row.replaces)
			}
			if got := diff.GetDeleteBeforeReplace(); got != row.deleteFirst {
				t.Errorf("deletes first: %v, want %v", got, row.deleteFirst)
			}
		})
	}
}

// PRO-6
func TestUnknownTypesAndFunctionsAreRefused(t *testing.T) {
	c := newCloud(t)
	_, refused := c.try("aws:s3/bucket:Bucket", "b", props{})
	c.mustRefuse(refused, "preview", "does not know the resource type aws:s3/bucket:Bucket")
	_, err := c.client.Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: "aws:s3/getBucket:getBucket"})
	if err == nil || !strings.Contains(err.Error(), "does not know the function aws:s3/getBucket:getBucket") {
		t.Errorf("got %v, want a refusal of the function", err)
	}
}

// ACC-1
func TestRegionsWithoutAppRunnerAreRefused(t *testing.T) {
	c := newCloud(t)
	args, err := structpb.NewStruct(map[string]any{"region": "eu-north-1"})
	if err != nil {
		t.Fatal(err)
	}
	checked, err := c.client.CheckConfig(t.Context(), &pulumirpc.CheckRequest{News: args})
	if err != nil {
		t.Fatal(err)
	}
	if f := checked.GetFailures(); len(f) != 1 || f[0].GetProperty() != "region" {
		t.Errorf("got %v, want the region refused", f)
	}
}

// EC2-1, AR-1
func TestQuotas(t *testing.T) {
	for _, row := range []struct {
		of   string
		some func(w *world, n int) props
		fits int
		code string
	}{
		{"vpc", func(*world, int) props { return props{} }, 4, "VpcLimitExceeded"},
		{"address", func(*world, int) props { return props{} }, 4, "AddressLimitExceeded"},
		{"scaling", func(_ *world, n int) props { return props{"maxConcurrency": n + 1} }, 4, "ServiceQuotaExceededException"},
		{"connector", func(w *world, n int) props {
			group := w.make(w.made["caller"].token, fmt.Sprintf("group%d", n), w.props["caller"])
			return props{"vpcConnectorName": fmt.Sprintf("todo-%d", n), "securityGroups": []string{group.id}}
		}, 9, "ServiceQuotaExceededException"},
		{"service", func(_ *world, n int) props { return props{"serviceName": fmt.Sprintf("todo-%d", n)} }, 29, "ServiceQuotaExceededException"},
	} {
		t.Run(row.of, func(t *testing.T) {
			w := newCloud(t).world()
			for n := range row.fits {
				w.make(w.made[row.of].token, fmt.Sprint(n), w.props[row.of].with(row.some(w, n)))
			}
			_, refused := w.try(w.made[row.of].token, "more", w.props[row.of].with(row.some(w, row.fits)))
			w.mustRefuse(refused, "up", row.code)
		})
	}
}

// EC2-7, EC2-11
func TestNetworkNeedsItsParts(t *testing.T) {
	c := newCloud(t)
	vpc := c.make("aws:ec2/vpc:Vpc", "bare", props{"cidrBlock": "10.0.0.0/16"})
	subnet := c.make("aws:ec2/subnet:Subnet", "bare", props{"vpcId": vpc.id, "cidrBlock": "10.0.0.0/24"})
	address := c.make("aws:ec2/eip:Eip", "bare", props{})
	_, refused := c.try("aws:ec2/natGateway:NatGateway", "early", props{"subnetId": subnet.id, "allocationId": address.id})
	c.mustRefuse(refused, "up", "has no Internet gateway attached")
	_, refused = c.try("aws:ec2/vpcEndpoint:VpcEndpoint", "nameless", props{"vpcId": vpc.id, "vpcEndpointType": "Interface",
		"serviceName": "com.amazonaws.eu-west-1.secretsmanager", "subnetIds": []string{subnet.id}, "privateDnsEnabled": true})
	c.mustRefuse(refused, "up", "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true")
}

// RDS-10, RDS-14
func TestClusterNeedsItsParts(t *testing.T) {
	w := newCloud(t).world()
	elsewhere := w.make("aws:ec2/vpc:Vpc", "elsewhere", props{"cidrBlock": "10.1.0.0/16"})
	group := w.make("aws:ec2/securityGroup:SecurityGroup", "elsewhere", props{"vpcId": elsewhere.id})
	_, refused := w.try(w.made["cluster"].token, "astray", w.props["cluster"].with(props{"clusterIdentifier": "astray", "vpcSecurityGroupIds": []string{group.id}}))
	w.mustRefuse(refused, "up", "InvalidVPCNetworkStateFault")

	plain := w.make(w.made["cluster"].token, "plain", w.props["cluster"].with(props{"clusterIdentifier": "plain", "serverlessv2ScalingConfiguration": nil}))
	_, refused = w.try(w.made["instance"].token, "early", w.props["instance"].with(props{"identifier": "early", "clusterIdentifier": plain.id}))
	w.mustRefuse(refused, "up", "Set the Serverless v2 scaling configuration on the parent DB cluster")
}

// EC2-16, RDS-11, RDS-12, RDS-13, ECR-2, IAM-4, AR-2
func TestDeletesAreRefused(t *testing.T) {
	w := newCloud(t).world()
	for of, text := range map[string]string{
		"vpc": "DependencyViolation", "private1": "DependencyViolation", "callee": "DependencyViolation", "address": "InvalidIPAddress.InUse",
		"subnets": "InvalidDBSubnetGroupStateFault", "parameters": "InvalidDBParameterGroupState",
		"cluster":    "Cluster cannot be deleted, it still contains DB instances in non-deleting state.",
		"repository": "not empty, consider using force_delete",
		"access":     "DeleteConflict: Cannot delete entity, must delete policies first.",
		"connector":  "Provided VPC connector arn is being used by other services.",
		"scaling":    "is being used by other services",
	} {
		w.mustRefuse(w.remove(w.made[of]), "up", text)
	}
	if refused := w.remove(w.made["instance"]); refused != nil {
		t.Fatal(refused.text)
	}
	cluster, refused := w.update(w.made["cluster"], w.props["cluster"].with(props{"deletionProtection": true}))
	if refused != nil {
		t.Fatal(refused.text)
	}
	w.mustRefuse(w.remove(cluster), "up", "Cannot delete protected Cluster, please disable deletion protection and try again.")
	if cluster, refused = w.update(cluster, w.props["cluster"].with(props{"skipFinalSnapshot": false})); refused != nil {
		t.Fatal(refused.text)
	}
	w.mustRefuse(w.remove(cluster), "up", "final_snapshot_identifier is required when skip_final_snapshot is false")
	if cluster, refused = w.update(cluster, w.props["cluster"]); refused != nil {
		t.Fatal(refused.text)
	}
	if refused := w.remove(cluster); refused != nil {
		t.Error(refused.text)
	}
}

// IAM-5, IAM-6, SM-1, SM-2
func TestAccessIsDecided(t *testing.T) {
	w := newCloud(t).world()
	own, access := w.made["own"].state["arn"].(string), w.made["access"].state["arn"].(string)
	if _, err := w.account.AssumeRole(own, "tasks.apprunner.amazonaws.com", w.made["service"].id); err != nil {
		t.Errorf("the instance role: %v", err)
	}
	if _, err := w.account.AssumeRole(own, "build.apprunner.amazonaws.com", w.made["service"].id); err == nil {
		t.Error("the instance role was assumed by a service that it does not trust")
	}
	if secret, err := w.account.GetSecretValue(caller(own), w.secret(), "", ""); err != nil || !strings.Contains(secret.Value, `"username":"tasks"`) {
		t.Errorf("the instance role reads %q, %v", secret.Value, err)
	}
	for role, id := range map[string]string{access: w.secret(), own: w.secret() + "x"} {
		var refusal *account.APIError
		if _, err := w.account.GetSecretValue(caller(role), id, "", ""); !errors.As(err, &refusal) || refusal.Code != "AccessDeniedException" {
			t.Errorf("%s reads %s: got %v, want AccessDeniedException", role, id, err)
		}
	}
	if err := w.account.Authorize(caller(own), "secretsmanager:PutSecretValue", w.secret()); err == nil {
		t.Error("the instance role may write the secret")
	}
	deny := strings.Replace(allow(`"secretsmanager:Get*"`, "arn:aws:secretsmanager:*"), "Allow", "Deny", 1)
	w.make(w.made["ownPolicy"].token, "deny", props{"role": w.made["own"].id, "policy": deny})
	if err := w.account.Authorize(caller(own), "secretsmanager:GetSecretValue", w.secret()); err == nil || !strings.Contains(err.Error(), "explicit deny") {
		t.Errorf("got %v, want an explicit deny", err)
	}
	if !strings.HasPrefix(w.secret(), "arn:aws:secretsmanager:eu-west-1:123456789012:secret:rds!cluster-") {
		t.Errorf("the managed secret is %s", w.secret())
	}
}

// AR-9
func TestConnectorInPublicSubnetIsRefused(t *testing.T) {
	w := newCloud(t).world()
	connector := w.make(w.made["connector"].token, "public", props{
		"vpcConnectorName": "public", "subnets": []string{w.made["public"].id}, "securityGroups": []string{w.made["callee"].id}})
	_, refused := w.try(w.made["service"].token, "public", w.props["service"].with(props{"serviceName": "public",
		"networkConfiguration.egressConfiguration.vpcConnectorArn": connector.id}))
	w.mustRefuse(refused, "up", "is public")
}

// AR-11
func TestFailedCreateStays(t *testing.T) {
	w := newCloud(t).world()
	w.runtime.fails = errors.New("Health check failed on port '8080'.")
	other := w.props["service"].with(props{"serviceName": "other"})
	_, refused := w.try(w.made["service"].token, "other", other)
	w.mustRefuse(refused, "up", "unexpected state 'CREATE_FAILED', wanted target 'RUNNING'. last error: Health check failed on port '8080'.")
	w.runtime.fails = nil
	_, refused = w.try(w.made["service"].token, "again", other)
	w.mustRefuse(refused, "up", "Service with the provided name already exists: other.")
}

// AR-12
func TestFailedUpdateIsRolledBackSilently(t *testing.T) {
	w := newCloud(t).world()
	w.runtime.fails = errors.New("Health check failed on port '8080'.")
	updated, refused := w.update(w.made["service"], w.props["service"].with(props{"instanceConfiguration.cpu": "512", "instanceConfiguration.memory": "1024"}))
	if refused != nil {
		t.Fatalf("the provider noticed: %s", refused.text)
	}
	configuration := updated.state["instanceConfiguration"].(map[string]any)
	if updated.state["status"] != "RUNNING" || configuration["cpu"] != "256" {
		t.Errorf("status %v with cpu %v, want RUNNING with the old 256", updated.state["status"], configuration["cpu"])
	}
	if !slices.ContainsFunc(w.runtime.events, func(e string) bool { return strings.Contains(e, "rolled back") }) {
		t.Errorf("events %q, want the roll-back told", w.runtime.events)
	}
}
