package account_test

import (
	"fmt"
	"testing"
)

const connection = "aws:apprunner/vpcIngressConnection:VpcIngressConnection"

// private adds a private service, and an endpoint for its requests, to the world.
func (w *world) private() (service, endpoint made, ingress props) {
	w.Helper()
	endpoint = w.make(w.made["endpoint"].token, "requests", w.props["endpoint"].with(props{
		"serviceName": "com.amazonaws.eu-west-1.apprunner.requests", "privateDnsEnabled": false}))
	service = w.make(w.made["service"].token, "private", w.props["service"].with(props{
		"serviceName": "todo-private", "networkConfiguration.ingressConfiguration": props{"isPubliclyAccessible": false}}))
	return service, endpoint, props{"name": "todo-private", "serviceArn": service.id, "ingressVpcConfiguration": props{
		"vpcId": w.made["vpc"].id, "vpcEndpointId": endpoint.id}}
}

// AR-24
func TestWhatAnIngressConnectionNeeds(t *testing.T) {
	w := newCloud(t).world()
	service, endpoint, ingress := w.private()
	elsewhere := w.make("aws:ec2/vpc:Vpc", "elsewhere", props{"cidrBlock": "10.1.0.0/16"})
	for text, change := range map[string]props{
		"is publicly accessible":                                            {"serviceArn": w.made["service"].id},
		"be of the VPC with the given VpcId":                                {"ingressVpcConfiguration.vpcId": elsewhere.id},
		"VpcEndpointId must be given":                                       {"ingressVpcConfiguration.vpcEndpointId": nil},
		"is for com.amazonaws.eu-west-1.secretsmanager":                     {"ingressVpcConfiguration.vpcEndpointId": w.made["endpoint"].id},
		"expected length to be in the range (4 - 40)":                       {"name": "abc"},
		"ResourceNotFoundException: The Service 'arn:aws:x' does not exist": {"serviceArn": "arn:aws:x"},
	} {
		_, refused := w.try(connection, text, ingress.with(change))
		w.mustRefuse(refused, "up", text)
	}
	way := w.make(connection, "right", ingress)
	if way.state["status"] != "AVAILABLE" || way.state["domainName"] != "localhost:2" {
		t.Errorf("made %v, want it available under a domain of its own", way.state)
	}
	_, refused := w.try(connection, "second", ingress.with(props{"name": "todo-second"}))
	w.mustRefuse(refused, "up", fmt.Sprintf("The service %s has a VPC Ingress Connection: %s", service.id, way.id))
	other := w.make(service.token, "other", w.props["service"].with(props{
		"serviceName": "todo-other", "networkConfiguration.ingressConfiguration": props{"isPubliclyAccessible": false}}))
	_, refused = w.try(connection, "namesake", ingress.with(props{"serviceArn": other.id}))
	w.mustRefuse(refused, "up", "VPC Ingress Connection with the provided name already exists: todo-private.")
	_ = w.make(connection, "another", ingress.with(props{"name": "todo-other", "serviceArn": other.id, "ingressVpcConfiguration.vpcEndpointId": endpoint.id}))
}

// AR-25
func TestWhoseServicesArePrivate(t *testing.T) {
	w := newCloud(t).world()
	for name, row := range map[string]struct {
		network props
		private bool
	}{
		"public":  {props{"ingressConfiguration": props{"isPubliclyAccessible": true}}, false},
		"silent":  {props{"ipAddressType": "IPV4"}, false},
		"private": {props{"ingressConfiguration": props{"isPubliclyAccessible": false}}, true},
		"empty":   {props{"ingressConfiguration": props{}}, true},
	} {
		w.make(w.made["service"].token, name, w.props["service"].with(props{"serviceName": "todo-" + name, "networkConfiguration": row.network}))
		if got := w.runtime.deployed[len(w.runtime.deployed)-1].Private; got != row.private {
			t.Errorf("%s: private %t, want %t", name, got, row.private)
		}
	}
}

// AR-26
func TestServiceWithAWayInIsNotDeleted(t *testing.T) {
	w := newCloud(t).world()
	service, _, ingress := w.private()
	way := w.make(connection, "ingress", ingress)
	w.mustRefuse(w.remove(service), "up", fmt.Sprintf("InvalidStateException: You cannot delete a Service while it has VpcIngressConnections "+
		"with a status of AVAILABLE. Service Arn: %s VpcIngressConnection Arn: %s", service.id, way.id))
	for _, m := range []made{way, service} {
		if refused := w.remove(m); refused != nil {
			t.Error(refused.text)
		}
	}
}

// AR-27
func TestAnotherEndpointIsReportedAndNotSet(t *testing.T) {
	w := newCloud(t).world()
	_, endpoint, ingress := w.private()
	way := w.make(connection, "ingress", ingress)
	successor := w.make(endpoint.token, "successor", w.props["endpoint"].with(props{
		"serviceName": "com.amazonaws.eu-west-1.apprunner.requests", "privateDnsEnabled": false}))
	changed, refused := w.update(way, ingress.with(props{"ingressVpcConfiguration.vpcEndpointId": successor.id}))
	if refused != nil {
		t.Fatal(refused.text)
	}
	if got := changed.state["ingressVpcConfiguration"].(map[string]any)["vpcEndpointId"]; got != endpoint.id {
		t.Errorf("the connection now leads to %v, want %s as before", got, endpoint.id)
	}
}
