package account_test

import (
	"strings"
	"testing"

	"example.com/todo/rehearsal/account"
)

// ways are what leads a service that connects to port 5432 to its database, and to Secrets Manager; empty where something does.
type ways struct{ database, api string }

func (w *world) ways(connector string) ways {
	w.Helper()
	var found ways
	if err := w.account.DatabasePath(connector, account.Destination{Host: w.made["cluster"].state["endpoint"].(string), Port: 5432}); err != nil {
		found.database = err.Error()
	}
	if _, err := w.account.APIPath(connector, "eu-west-1", "secretsmanager"); err != nil {
		found.api = err.Error()
	}
	return found
}

// mustUpdate changes some properties of what the world was made of.
func (w *world) mustUpdate(name string, change props) {
	w.Helper()
	updated, refused := w.update(w.made[name], w.props[name].with(change))
	if refused != nil {
		w.Fatalf("the change of %s was refused: %s", name, refused.text)
	}
	w.made[name] = updated
}

func (w *world) mustRemove(names ...string) {
	w.Helper()
	for _, name := range names {
		if refused := w.remove(w.made[name]); refused != nil {
			w.Fatalf("the removal of %s was refused: %s", name, refused.text)
		}
	}
}

// again makes something anew, with other properties.
func (w *world) again(name string, change props) {
	w.Helper()
	w.mustRemove(name)
	w.made[name] = w.make(w.made[name].token, name+"-again", w.props[name].with(change))
}

// nat gives the private subnets the internet instead of the endpoint.
func (w *world) nat() {
	w.Helper()
	w.mustRemove("endpoint", "apiOut", "apiIn")
	add := func(name, token string, p props) {
		w.props[name], w.made[name] = p, w.make(token, name, p)
	}
	add("privateTable", w.made["table"].token, props{"vpcId": w.made["vpc"].id})
	add("natRoute", w.made["route"].token, props{"routeTableId": w.made["privateTable"].id, "destinationCidrBlock": "0.0.0.0/0", "natGatewayId": w.made["nat"].id})
	for _, subnet := range []string{"private1", "private2"} {
		add(subnet+"Association", w.made["association"].token, props{"routeTableId": w.made["privateTable"].id, "subnetId": w.made[subnet].id})
	}
	add("internetOut", egressRule, props{"securityGroupId": w.made["caller"].id, "cidrIpv4": "0.0.0.0/0", "ipProtocol": "tcp", "fromPort": 443, "toPort": 443})
}

// Each row departs in one thing from a network in which there is a way to the database and to Secrets Manager.
func TestWaysOut(t *testing.T) {
	nothing := func(*world) {}
	remove := func(names ...string) func(*world) { return func(w *world) { w.mustRemove(names...) } }
	update := func(name string, change props) func(*world) { return func(w *world) { w.mustUpdate(name, change) } }
	again := func(name string, change props) func(*world) { return func(w *world) { w.again(name, change) } }
	// byAddress has a rule name addresses instead of a group.
	byAddress := func(name, block string) func(*world) {
		return again(name, props{"referencedSecurityGroupId": nil, "cidrIpv4": block})
	}
	noWayOut := "so that the name leads to public addresses; the main route table of the subnet"

	for _, row := range []struct {
		rule, name string
		nat        bool
		change     func(*world)
		want       ways
	}{
		{"NET-3", "groups that name each other", false, nothing, ways{}},
		{"NET-3", "no rule out to the database", false, remove("out"), ways{database: "of the connector todo-test let nothing out to"}},
		{"NET-3", "no rule in to the database", false, remove("in"), ways{database: "of the database todo-test let nothing in from"}},
		{"NET-3", "a rule in from another group", false, func(w *world) {
			w.again("in", props{"referencedSecurityGroupId": w.made["callee"].id})
		}, ways{database: "let nothing in from"}},
		{"NET-3", "a rule on the wrong group", false, func(w *world) {
			w.again("in", props{"securityGroupId": w.made["caller"].id})
		}, ways{database: "let nothing in from"}},
		{"NET-3", "rules the wrong way around", false, func(w *world) {
			w.again("out", props{"securityGroupId": w.made["callee"].id, "referencedSecurityGroupId": w.made["caller"].id})
		}, ways{database: "let nothing out to"}},
		{"NET-3", "another port", false, update("in", props{"fromPort": 5433, "toPort": 5433}), ways{database: "let nothing in from"}},
		{"NET-9", "the database on another port", false, update("cluster", props{"port": 5433}), ways{database: "the database is on port 5433: nothing listens there"}},
		{"NET-3", "ports around the right one", false, update("in", props{"fromPort": 5000, "toPort": 6000}), ways{}},
		{"NET-3", "another protocol", false, update("in", props{"ipProtocol": "udp"}), ways{database: "let nothing in from"}},
		{"NET-3", "all protocols", false, update("in", props{"ipProtocol": "-1", "fromPort": nil, "toPort": nil}), ways{}},
		{"NET-3", "all addresses of the network", false, byAddress("in", "10.0.0.0/16"), ways{}},
		{"NET-3", "addresses of one subnet only", false, byAddress("in", "10.0.1.0/24"), ways{database: "let nothing in from"}},
		{"NET-3", "a part of a subnet's addresses", false, byAddress("out", "10.0.1.0/25"), ways{database: "let nothing out to"}},
		{"NET-3", "addresses of the internet", false, byAddress("out", "203.0.113.0/24"), ways{database: "let nothing out to"}},
		{"NET-3", "a database without groups", false, update("cluster", props{"vpcSecurityGroupIds": []string{}}), ways{database: "let nothing"}},
		{"NET-3", "a database in the default group, and any way out", false, func(w *world) {
			w.mustUpdate("cluster", props{"vpcSecurityGroupIds": []string{}})
			byAddress("out", "10.0.0.0/16")(w)
		}, ways{database: "let nothing in from"}},

		{"NET-6", "no endpoint", false, remove("endpoint"), ways{api: "has no endpoint for com.amazonaws.eu-west-1.secretsmanager, " + noWayOut}},
		{"NET-6", "an endpoint without private DNS", false, again("endpoint", props{"privateDnsEnabled": nil}), ways{api: "the private DNS of the endpoint"}},
		{"NET-6", "an endpoint of another service", false, again("endpoint", props{"serviceName": "com.amazonaws.eu-west-1.ssm"}), ways{api: "has no endpoint for"}},
		{"NET-6", "an endpoint without subnets", false, again("endpoint", props{"subnetIds": nil}), ways{api: "has no subnet and so no address"}},
		{"NET-6", "an endpoint in one subnet", false, func(w *world) {
			w.mustUpdate("endpoint", props{"subnetIds": []string{w.made["private1"].id}})
		}, ways{}},
		{"NET-3", "an endpoint without groups", false, again("endpoint", props{"securityGroupIds": nil}), ways{api: "let nothing out to the security groups sg-"}},
		{"NET-3", "no rule out to the endpoint", false, remove("apiOut"), ways{api: "let nothing out to"}},
		{"NET-3", "no rule in to the endpoint", false, remove("apiIn"), ways{api: "let nothing in from"}},
		{"NET-6", "host names switched off", false, update("vpc", props{"enableDnsHostnames": false}), ways{api: "enableDnsHostnames of"}},
		{"NET-5", "DNS switched off", false, update("vpc", props{"enableDnsSupport": false}), ways{"no name is resolved", "no name is resolved"}},

		{"NET-7", "a NAT gateway", true, nothing, ways{}},
		{"NET-7", "no rule out to the internet", true, remove("internetOut"), ways{api: "let nothing out to 0.0.0.0/0 on port 443"}},
		{"NET-7", "another port out", true, update("internetOut", props{"fromPort": 80, "toPort": 80}), ways{api: "let nothing out to 0.0.0.0/0"}},
		{"NET-7", "the network's addresses only", true, update("internetOut", props{"cidrIpv4": "10.0.0.0/16"}), ways{api: "let nothing out to 0.0.0.0/0"}},
		{"NET-7", "no route to the gateway", true, remove("natRoute"), ways{api: "has no route to 0.0.0.0/0"}},
		{"NET-7", "a route to other addresses", true, again("natRoute", props{"destinationCidrBlock": "203.0.113.0/24"}), ways{api: "has no route to 0.0.0.0/0"}},
		{"NET-2", "one subnet without the route", true, remove("private2Association"), ways{api: "the main route table of the subnet"}},
		{"NET-7", "a gateway in a private subnet", true, func(w *world) {
			w.mustRemove("natRoute", "nat")
			w.made["nat"] = w.make(w.made["nat"].token, "inside", w.props["nat"].with(props{"subnetId": w.made["private1"].id}))
			w.made["natRoute"] = w.make(w.made["natRoute"].token, "inside", w.props["natRoute"].with(props{"natGatewayId": w.made["nat"].id}))
		}, ways{api: "whose route table does not lead to an internet gateway"}},
		{"NET-7", "no route to the internet gateway", true, remove("route"), ways{api: "whose route table does not lead to an internet gateway"}},
		{"NET-7", "a private gateway", true, func(w *world) {
			w.mustRemove("natRoute", "nat")
			w.made["nat"] = w.make(w.made["nat"].token, "inside", w.props["nat"].with(props{"connectivityType": "private", "allocationId": nil}))
			w.made["natRoute"] = w.make(w.made["natRoute"].token, "inside", w.props["natRoute"].with(props{"natGatewayId": w.made["nat"].id}))
		}, ways{api: "is a private one"}},
		{"NET-7", "the internet gateway instead", true, func(w *world) {
			w.mustUpdate("natRoute", props{"natGatewayId": nil, "gatewayId": w.made["gateway"].id})
		}, ways{api: "of no use without public addresses"}},
		{"NET-6", "an endpoint that lets nothing in, beside the gateway", true, func(w *world) {
			w.made["endpoint"] = w.make(w.made["endpoint"].token, "closed", w.props["endpoint"])
		}, ways{api: "let nothing in from"}},
	} {
		t.Run(row.rule+"/"+row.name, func(t *testing.T) {
			t.Parallel()
			w := newCloud(t).world()
			if row.nat {
				w.nat()
			}
			if before := w.ways(w.made["connector"].id); before != (ways{}) {
				t.Fatalf("before the change: %+v", before)
			}
			row.change(w)
			got := w.ways(w.made["connector"].id)
			for _, way := range []struct{ to, got, want string }{{"the database", got.database, row.want.database}, {"the API", got.api, row.want.api}} {
				if (way.got == "") != (way.want == "") || !strings.Contains(way.got, way.want) {
					t.Errorf("the way to %s: %q, want %q", way.to, way.got, way.want)
				}
			}
		})
	}
}

// NET-4
func TestNothingJoinsNetworks(t *testing.T) {
	w := newCloud(t).world()
	vpc := w.make(w.made["vpc"].token, "elsewhere", w.props["vpc"])
	subnet := w.make(w.made["private1"].token, "elsewhere", w.props["private1"].with(props{"vpcId": vpc.id}))
	group := w.make(w.made["caller"].token, "elsewhere", w.props["caller"].with(props{"vpcId": vpc.id}))
	w.make(egressRule, "elsewhere", props{"securityGroupId": group.id, "cidrIpv4": "0.0.0.0/0", "ipProtocol": "-1"})
	connector := w.make(w.made["connector"].token, "elsewhere", props{"vpcConnectorName": "elsewhere", "subnets": []string{subnet.id}, "securityGroups": []string{group.id}})
	if got := w.ways(connector.id); !strings.Contains(got.database, "is in another VPC than the connector elsewhere") {
		t.Errorf("the way to a database in another network: %q", got.database)
	}
}

// AR-14
func TestWithoutAConnectorThereIsOnlyTheInternet(t *testing.T) {
	w := newCloud(t).world()
	w.mustRemove("endpoint")
	if got := w.ways(""); got.api != "" || !strings.Contains(got.database, "only a service with egress through a VPC connector") {
		t.Errorf("without a connector: %+v", got)
	}
}

// AR-14, NET-9
func TestAServiceIsDeployedWithItsWayOut(t *testing.T) {
	w := newCloud(t).world()
	environment := "sourceConfiguration.imageRepository.imageConfiguration.runtimeEnvironmentVariables"
	for i, row := range []struct {
		endpoint, host string
		others         props
		port           int
	}{
		{"endpoint", "DATABASE_HOST", props{"LOG_LEVEL": "info"}, 5432},
		{"readerEndpoint", "DATABASE_HOST", props{"DATABASE_PORT": "5433", "PAGES_PORT": "80"}, 5433},
		{"endpoint", "DATABASE_ADDRESS", props{"DATABASE_PORT": "5433"}, 5432},
	} {
		endpoint := w.made["cluster"].state[row.endpoint].(string)
		w.mustUpdate("service", props{environment: row.others.with(props{row.host: endpoint})})
		deployed, want := w.runtime.deployed[i+1], account.Destination{Host: endpoint, Port: row.port}
		if deployed.ConnectorARN != w.made["connector"].id || len(deployed.Databases) != 1 || deployed.Databases[0] != want {
			t.Errorf("deployed through %q with the databases %v, want %v through %s", deployed.ConnectorARN, deployed.Databases, want, w.made["connector"].id)
		}
	}
}

// EC2-17
func TestNetworksAreNotMixed(t *testing.T) {
	w := newCloud(t).world()
	vpc := w.make(w.made["vpc"].token, "elsewhere", w.props["vpc"])
	elsewhere := func(of string) string {
		return w.make(w.made[of].token, "elsewhere", w.props[of].with(props{"vpcId": vpc.id})).id
	}
	table, subnet, group := elsewhere("table"), elsewhere("private1"), elsewhere("caller")
	for _, row := range []struct {
		of     string
		change props
		text   string
	}{
		{"route", props{"routeTableId": table}, "route table " + table + " and network gateway " + w.made["gateway"].id + " belong to different networks"},
		{"association", props{"subnetId": subnet}, "Route table " + w.made["table"].id + " and subnet " + subnet + " belong to different networks"},
		{"endpoint", props{"serviceName": "com.amazonaws.eu-west-1.ssm", "securityGroupIds": []string{group}}, "The security group ID '" + group + "' does not belong to " + w.made["vpc"].id},
		{"in", props{"referencedSecurityGroupId": group}, "You have specified two resources that belong to different networks."},
	} {
		_, refused := w.try(w.made[row.of].token, "mixed", w.props[row.of].with(row.change))
		w.mustRefuse(refused, "up", row.text)
	}
	_, refused := w.update(w.made["association"], w.props["association"].with(props{"routeTableId": table}))
	w.mustRefuse(refused, "up", "ReplaceRouteTableAssociation, api error InvalidParameterValue: Route table "+table)
}

// AR-21
func TestAServiceIsDeployedWithItsScaling(t *testing.T) {
	w := newCloud(t).world()
	w.make(w.made["service"].token, "unscaled", w.props["service"].with(props{"serviceName": "unscaled", "autoScalingConfigurationArn": nil}))
	for i, want := range []account.Scaling{{Least: 1, Most: 2, Concurrency: 80}, {Least: 1, Most: 25, Concurrency: 100}} {
		if got := w.runtime.deployed[i].Scaling; got != want {
			t.Errorf("%s is deployed with %+v, want %+v", w.runtime.deployed[i].Name, got, want)
		}
	}
}
