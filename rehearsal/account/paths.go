package account

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

const (
	anywhere  = "0.0.0.0/0"
	httpsPort = 443
)

// A Way is how connections through a VPC connector get to one of AWS's APIs.
type Way struct {
	// Endpoint is the interface endpoint that they go through; empty for the internet.
	Endpoint string
}

// ErrRefused is in the reason why a connection is refused at once, instead of hanging.
var ErrRefused = errors.New("nothing listens there")

// DatabasePath says why connections to a database's endpoint do not arrive; nil when they do. They are made through a VPC
// connector, or without one when its ARN is empty. AWS says nothing of the kind: to those who connect, all reasons look alike,
// but for ErrRefused.
func (a *Account) DatabasePath(connectorARN string, to Destination) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	from := a.connector(connectorARN)
	if from == nil {
		// AR-14
		return fmt.Errorf("%s is in a VPC, where only a service with egress through a VPC connector gets to", to.Host)
	}
	cluster := a.clusterAt(to.Host)
	if cluster == nil {
		return fmt.Errorf("there is no database at %s", to.Host)
	}
	if err := a.resolves(from); err != nil {
		return err
	}
	if err := a.connects(from, a.clusterParty(cluster), float64(to.Port)); err != nil {
		return err
	}
	// NET-9
	if port := cluster.num("port"); port != float64(to.Port) {
		return fmt.Errorf("the service connects to port %d, and the database is on port %v: %w", to.Port, port, ErrRefused)
	}
	return nil
}

// APIPath says in the same way how connections get to one of AWS's APIs, called as in the name of its endpoint service, such
// as secretsmanager. (NET-6)
// https://docs.aws.amazon.com/vpc/latest/privatelink/interface-endpoints.html
func (a *Account) APIPath(connectorARN, region, api string) (Way, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	from := a.connector(connectorARN)
	if from == nil {
		return Way{}, nil // AR-14
	}
	if err := a.resolves(from); err != nil {
		return Way{}, err
	}
	endpoint, reason := a.privateEndpoint(from.vpc, "com.amazonaws."+region+"."+api)
	if endpoint != nil {
		return Way{endpoint.ID}, a.connects(from, a.endpointParty(endpoint), httpsPort)
	}
	if err := a.reachesInternet(from); err != nil {
		return Way{}, fmt.Errorf("%s, so that the name leads to public addresses; %w", reason, err)
	}
	return Way{}, nil
}

// A party is one end of a connection: network interfaces in a VPC with their security groups, or the internet.
type party struct {
	name    string // for people
	vpc     *Resource
	subnets []*Resource
	blocks  []string // the addresses that it may have
	groups  []string
}

// connector is the end that a VPC connector's services are at; nil when there is no such connector.
func (a *Account) connector(arn string) *party {
	found := a.find(tokenConnector+"#arn", arn)
	if found == nil {
		return nil
	}
	return a.party("the connector "+found.str("vpcConnectorName"), found.list("subnets"), found.list("securityGroups"))
}

func (a *Account) clusterParty(cluster *Resource) *party {
	group := a.find(tokenSubnetGroup, cluster.str("dbSubnetGroupName"))
	if group == nil {
		return &party{name: "the database " + cluster.ID}
	}
	return a.party("the database "+cluster.ID, group.list("subnetIds"), cluster.list("vpcSecurityGroupIds"))
}

func (a *Account) endpointParty(endpoint *Resource) *party {
	return a.party("the endpoint "+called(endpoint), endpoint.list("subnetIds"), endpoint.list("securityGroupIds"))
}

// party has the VPC's default security group when it is given none. (NET-3)
func (a *Account) party(name string, subnets, groups []string) *party {
	p := &party{name: name, groups: groups}
	for _, id := range subnets {
		subnet := a.find(tokenSubnet, id)
		p.subnets, p.blocks = append(p.subnets, subnet), append(p.blocks, subnet.str("cidrBlock"))
		p.vpc = a.find(tokenVPC, subnet.str("vpcId"))
	}
	if len(groups) == 0 && p.vpc != nil {
		p.groups = []string{p.vpc.str("defaultSecurityGroupId")}
	}
	return p
}

// clusterAt is the cluster that has an endpoint of its own or of one of its instances.
func (a *Account) clusterAt(endpoint string) *Resource {
	for _, cluster := range a.of(tokenCluster) {
		if slices.Contains(a.endpointsOf(cluster), endpoint) {
			return cluster
		}
	}
	return nil
}

// resolves says why no name has an address in a VPC. (NET-5)
// https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html
func (a *Account) resolves(from *party) error {
	if !from.vpc.flag("enableDnsSupport") {
		return fmt.Errorf("enableDnsSupport of %s is off, so that no name is resolved in it", called(from.vpc))
	}
	return nil
}

// privateEndpoint is the endpoint to which a VPC's DNS leads for a service's own name, or why there is none. (NET-6)
func (a *Account) privateEndpoint(vpc *Resource, service string) (found *Resource, reason string) {
	reason = fmt.Sprintf("%s has no endpoint for %s", called(vpc), service)
	for _, endpoint := range a.of(tokenVPCEndpoint) {
		switch {
		case endpoint.str("vpcId") != vpc.ID || endpoint.str("serviceName") != service:
		case !endpoint.flag("privateDnsEnabled"):
			reason = fmt.Sprintf("the private DNS of the endpoint %s is off", called(endpoint))
		case !vpc.flag("enableDnsHostnames"):
			reason = fmt.Sprintf("enableDnsHostnames of %s is off, which the private DNS of the endpoint %s needs", called(vpc), called(endpoint))
		case len(endpoint.list("subnetIds")) == 0:
			reason = fmt.Sprintf("the endpoint %s has no subnet and so no address", called(endpoint))
		default:
			return endpoint, ""
		}
	}
	return nil, reason
}

// connects says why one party cannot open a connection to another. Inside a VPC every route table leads everywhere, and
// network ACLs are the default ones, which let everything through. (NET-3, NET-4)
// https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html
func (a *Account) connects(from, to *party, port float64) error {
	if to.vpc == nil || to.vpc.ID != from.vpc.ID {
		return fmt.Errorf("%s is in another VPC than %s, and nothing joins the two", to.name, from.name)
	}
	if !a.lets(tokenEgressRule, from, to, port) {
		return fmt.Errorf("%s of %s let nothing out to %s on port %v", a.groupsOf(from), from.name, a.groupsOf(to), port)
	}
	if !a.lets(tokenIngressRule, to, from, port) {
		return fmt.Errorf("%s of %s let nothing in from %s on port %v", a.groupsOf(to), to.name, a.groupsOf(from), port)
	}
	return nil
}

// lets says whether the rules of a party's groups cover all that a peer may be. A security group begins without rules: the
// provider takes away the one that AWS makes. The VPC's default group is not the provider's: it lets everything out, and its
// own members in. (NET-3)
func (a *Account) lets(token string, own, peer *party, port float64) bool {
	fallback := own.vpc.str("defaultSecurityGroupId")
	if slices.Contains(own.groups, fallback) && (token == tokenEgressRule || slices.Contains(peer.groups, fallback)) {
		return true
	}
	for _, block := range peer.blocks {
		covers := func(rule *Resource) bool {
			return slices.Contains(own.groups, rule.str("securityGroupId")) && opens(rule, port) && applies(rule, peer.groups, block)
		}
		if !slices.ContainsFunc(a.of(token), covers) {
			return false
		}
	}
	return len(peer.blocks) > 0
}

// applies says whether a rule is about all interfaces in a block of addresses that are of the given groups.
func applies(rule *Resource, groups []string, block string) bool {
	if rule.str("cidrIpv4") == "" {
		return slices.Contains(groups, rule.str("referencedSecurityGroupId"))
	}
	open, addresses := netip.MustParsePrefix(rule.str("cidrIpv4")), netip.MustParsePrefix(block)
	return open.Bits() <= addresses.Bits() && open.Contains(addresses.Addr())
}

// opens says whether a rule is about a TCP port.
func opens(rule *Resource, port float64) bool {
	switch rule.str("ipProtocol") {
	case "-1":
		return true
	case "tcp", "6":
		return rule.num("fromPort") <= port && port <= rule.num("toPort")
	default:
		return false
	}
}

// reachesInternet says why a connector's services do not get to public addresses: every subnet needs a way, since an instance
// may be behind any of them, and the interfaces there have no public addresses of their own. (NET-2, NET-7)
// https://docs.aws.amazon.com/vpc/latest/userguide/vpc-nat-gateway.html
func (a *Account) reachesInternet(from *party) error {
	for _, subnet := range from.subnets {
		if err := a.leadsOut(subnet); err != nil {
			return err
		}
	}
	if !a.lets(tokenEgressRule, from, &party{blocks: []string{anywhere}}, httpsPort) {
		return fmt.Errorf("%s of %s let nothing out to %s on port %v", a.groupsOf(from), from.name, anywhere, httpsPort)
	}
	return nil
}

func (a *Account) leadsOut(subnet *Resource) error {
	table, route := a.defaultRoute(subnet)
	if route == nil {
		return fmt.Errorf("%s of the subnet %s has no route to %s", table, called(subnet), anywhere)
	}
	gateway := a.find(tokenNATGateway, route.str("natGatewayId"))
	if gateway == nil {
		return fmt.Errorf("%s of the subnet %s leads to an internet gateway, which is of no use without public addresses", table, called(subnet))
	}
	if gateway.str("connectivityType") != "public" {
		return fmt.Errorf("the NAT gateway %s is a private one", called(gateway))
	}
	public := a.find(tokenSubnet, gateway.str("subnetId"))
	if !a.isPublic(public.ID) {
		return fmt.Errorf("the NAT gateway %s is in the subnet %s, whose route table does not lead to an internet gateway", called(gateway), called(public))
	}
	return nil
}

// defaultRoute is where a subnet sends what is not for its VPC, and what its route table is called: its own or the VPC's
// main one, which has no such route. (NET-4)
// https://docs.aws.amazon.com/vpc/latest/userguide/subnet-route-tables.html
func (a *Account) defaultRoute(subnet *Resource) (table string, found *Resource) {
	for _, association := range a.of(tokenRouteTableAssociation) {
		if association.str("subnetId") != subnet.ID {
			continue
		}
		for _, route := range a.of(tokenRoute) {
			if route.str("routeTableId") == association.str("routeTableId") && route.str("destinationCidrBlock") == anywhere {
				found = route
			}
		}
		return "the route table " + called(a.find(tokenRouteTable, association.str("routeTableId"))), found
	}
	return "the main route table", nil
}

// isPublic says whether a subnet's route table leads to an internet gateway.
func (a *Account) isPublic(subnet string) bool {
	_, route := a.defaultRoute(a.find(tokenSubnet, subnet))
	return route != nil && route.str("gatewayId") != ""
}

func (a *Account) hasInternetGateway(vpc string) bool {
	return slices.ContainsFunc(a.of(tokenInternetGateway), func(gateway *Resource) bool { return gateway.str("vpcId") == vpc })
}

// called is a resource's id, and the name that people know it by.
func called(r *Resource) string {
	name := cmp.Or(r.str("tags", "Name"), r.str("name"))
	if name == "" {
		return r.ID
	}
	return r.ID + " (" + name + ")"
}

func (a *Account) groupsOf(p *party) string {
	var names []string
	for _, id := range p.groups {
		if group := a.find(tokenSecurityGroup, id); group != nil {
			id = called(group)
		}
		names = append(names, id)
	}
	return "the security groups " + strings.Join(names, ", ")
}
