package account

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// An APIError is AWS's refusal of one operation.
type APIError struct {
	Service, Operation, Code, Message string
}

func (e *APIError) Error() string {
	return fmt.Sprintf("operation error %s: %s, api error %s: %s", e.Service, e.Operation, e.Code, e.Message)
}

func (c *call) refusal(operation, code, message string) error {
	return &APIError{Service: c.kind.service, Operation: operation, Code: code, Message: message}
}

// operation is the one that the call asks of the API.
func (c *call) operation() string {
	if c.old != nil {
		return c.kind.update
	}
	return c.kind.create
}

// label is how the provider calls a resource in an error: by its name where it has one.
func (c *call) label(urn resource.URN) string {
	for _, name := range []string{c.kind.AutoName, "serviceName", "vpcConnectorName", "clusterIdentifier", "identifier"} {
		if name != "" && c.str(name) != "" {
			return c.str(name)
		}
	}
	return urn.Name()
}

// prefixed turns the resource's number into an id such as vpc-0a1b2c3d4e5f60718.
func (c *call) prefixed(prefix string) {
	c.ID = prefix + c.ID[:17]
}

func (r *Resource) set(output string, value any) {
	r.State[resource.PropertyKey(output)] = resource.NewPropertyValue(value)
}

func (c *call) arn(service, rest string) string {
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, c.Region, ID, rest)
}

// at follows a path of nested objects; null where there is nothing.
func (r *Resource) at(path ...string) resource.PropertyValue {
	value := resource.NewProperty(r.State)
	for _, step := range path {
		switch {
		case value.IsObject():
			value = value.ObjectValue()[resource.PropertyKey(step)]
		case value.IsArray():
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(value.ArrayValue()) {
				return resource.NewNullProperty()
			}
			value = value.ArrayValue()[i]
		default:
			return resource.NewNullProperty()
		}
	}
	return value
}

func (r *Resource) str(path ...string) string {
	if v := r.at(path...); v.IsString() {
		return v.StringValue()
	}
	return ""
}

func (r *Resource) num(path ...string) float64 {
	if v := r.at(path...); v.IsNumber() {
		return v.NumberValue()
	}
	return 0
}

func (r *Resource) flag(path ...string) bool {
	v := r.at(path...)
	return v.IsBool() && v.BoolValue()
}

func (r *Resource) list(path ...string) []string {
	v := r.at(path...)
	if !v.IsArray() {
		return nil
	}
	var all []string
	for _, element := range v.ArrayValue() {
		if element.IsString() {
			all = append(all, element.StringValue())
		}
	}
	return all
}

func (r *Resource) dict(path ...string) map[string]string {
	all := map[string]string{}
	if v := r.at(path...); v.IsObject() {
		for k, element := range v.ObjectValue() {
			if element.IsString() {
				all[string(k)] = element.StringValue()
			}
		}
	}
	return all
}

// elements is a list whose elements are no strings.
func (r *Resource) elements(path ...string) []resource.PropertyValue {
	if v := r.at(path...); v.IsArray() {
		return v.ArrayValue()
	}
	return nil
}

func parseJSON(document string) (resource.PropertyValue, error) {
	var value any
	if err := json.Unmarshal([]byte(document), &value); err != nil {
		return resource.PropertyValue{}, fmt.Errorf("read %q as JSON: %w", document, err)
	}
	return resource.NewPropertyValue(value), nil
}

func encodeBasic(username, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(username + ":" + password))
}
