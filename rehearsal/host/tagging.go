package host

import (
	"slices"
	"strings"

	"example.com/todo/rehearsal/account"
)

// getResources lists what carries tags, but for IAM's, which the tagging API does not know. (RUN-12)
// https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
func getResources(h *Host, q inquiry) (any, error) {
	var asked struct {
		TagFilters []struct {
			Key    string
			Values []string
		}
	}
	if err := q.read(&asked); err != nil {
		return nil, err
	}
	var all []map[string]any
	for _, r := range h.Account.Resources() {
		arn, tags := arnOf(r), tagsOf(r)
		if arn == "" || r.Region != q.region || strings.HasPrefix(r.Token, "aws:iam/") {
			continue
		}
		matches := true
		for _, f := range asked.TagFilters {
			value, has := tags[f.Key]
			matches = matches && has && (len(f.Values) == 0 || slices.Contains(f.Values, value))
		}
		if matches {
			all = append(all, map[string]any{"ResourceARN": arn})
		}
	}
	return map[string]any{"ResourceTagMappingList": all, "PaginationToken": ""}, nil
}

func arnOf(r account.Resource) string {
	if arn := r.State["arn"]; arn.IsString() {
		return arn.StringValue()
	}
	// Its provider does not say.
	if r.Token == "aws:ec2/natGateway:NatGateway" {
		return "arn:aws:ec2:" + r.Region + ":" + account.ID + ":natgateway/" + r.ID
	}
	return ""
}

func tagsOf(r account.Resource) map[string]string {
	tags := map[string]string{}
	if all := r.State["tagsAll"]; all.IsObject() {
		for key, value := range all.ObjectValue() {
			if value.IsString() {
				tags[string(key)] = value.StringValue()
			}
		}
	}
	return tags
}
