package account

import (
	"context"
	"fmt"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"example.com/todo/rehearsal/provider"
	"example.com/todo/rehearsal/schema"
)

// The regions that have App Runner. https://docs.aws.amazon.com/general/latest/gr/apprunner.html (ACC-1)
var regions = []string{
	"us-east-1", "us-east-2", "us-west-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ap-northeast-1",
	"eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3",
}

// Configure implements provider.Cloud.
func (a *Account) Configure(args resource.PropertyMap) (provider.Session, []schema.Failure) {
	var s provider.Session
	region := args["region"]
	switch {
	case region.IsComputed():
	case !region.IsString():
		return s, []schema.Failure{{Property: "region", Reason: "missing required configuration key \"aws:region\": the region where AWS operations will take place"}}
	case !slices.Contains(regions, region.StringValue()):
		return s, []schema.Failure{{Property: "region", Reason: fmt.Sprintf("the simulated account has the regions with App Runner only (%v), got %q", regions, region.StringValue())}}
	default:
		s.Region = region.StringValue()
	}
	defaults := args["defaultTags"]
	if defaults.IsString() {
		// The engine sends nested provider arguments as JSON text.
		parsed, err := parseJSON(defaults.StringValue())
		if err != nil {
			return s, []schema.Failure{{Property: "defaultTags", Reason: err.Error()}}
		}
		defaults = parsed
	}
	if defaults.IsObject() && defaults.ObjectValue()["tags"].IsObject() {
		s.DefaultTags = defaults.ObjectValue()["tags"].ObjectValue()
	}
	return s, nil
}

// Invoke implements provider.Cloud.
func (a *Account) Invoke(_ context.Context, s provider.Session, token string, args resource.PropertyMap) (resource.PropertyMap, []schema.Failure, error) {
	function, known := functions[token]
	if !known {
		return nil, nil, fmt.Errorf("the rehearsal does not know the function %s: model it before you use it", token)
	}
	for _, name := range args.StableKeys() {
		if !slices.Contains(function.args, string(name)) {
			return nil, []schema.Failure{{Property: string(name), Reason: fmt.Sprintf("the rehearsal knows no such argument of %s; known are %v", token, function.args)}}, nil
		}
	}
	return function.call(a, s, args), nil, nil
}

var functions = map[string]struct {
	args []string
	call func(*Account, provider.Session, resource.PropertyMap) resource.PropertyMap
}{
	"aws:index/getAvailabilityZones:getAvailabilityZones": {
		args: []string{"state", "filters", "excludeZoneIds"},
		call: func(_ *Account, s provider.Session, _ resource.PropertyMap) resource.PropertyMap {
			var names, ids []resource.PropertyValue
			for i, zone := range zones(s.Region) {
				names = append(names, resource.NewProperty(zone))
				ids = append(ids, resource.NewProperty(zoneID(s.Region, i)))
			}
			return resource.PropertyMap{
				"id": resource.NewProperty(s.Region), "names": resource.NewProperty(names), "zoneIds": resource.NewProperty(ids),
				"groupNames": resource.NewProperty([]resource.PropertyValue{resource.NewProperty(s.Region)}),
			}
		},
	},
	"aws:ecr/getAuthorizationToken:getAuthorizationToken": {
		args: []string{"registryId"},
		call: func(a *Account, s provider.Session, _ resource.PropertyMap) resource.PropertyMap {
			password := a.authorizationToken()
			return resource.PropertyMap{
				"id": resource.NewProperty(s.Region), "userName": resource.NewProperty("AWS"), "password": resource.NewProperty(password),
				"authorizationToken": resource.NewProperty(encodeBasic("AWS", password)),
				"proxyEndpoint":      resource.NewProperty("https://" + RegistryHost(s.Region)),
				"expiresAt":          resource.NewProperty("2026-01-01T12:00:00Z"),
			}
		},
	},
	"aws:index/getCallerIdentity:getCallerIdentity": {
		call: func(*Account, provider.Session, resource.PropertyMap) resource.PropertyMap {
			return resource.PropertyMap{
				"id": resource.NewProperty(ID), "accountId": resource.NewProperty(ID),
				"arn": resource.NewProperty("arn:aws:iam::" + ID + ":user/rehearsal"), "userId": resource.NewProperty("AIDAREHEARSAL"),
			}
		},
	},
}
