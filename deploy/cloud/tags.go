package cloud

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"
)

// Tagged are the ARNs of what carries all these tags in the region. IAM's roles are not among them.
// https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
func (a *Account) Tagged(ctx context.Context, tags map[string]string) ([]string, error) {
	var filters []types.TagFilter
	for key, value := range tags {
		filters = append(filters, types.TagFilter{Key: &key, Values: []string{value}})
	}
	var all []string
	pages := resourcegroupstaggingapi.NewGetResourcesPaginator(a.tagged, &resourcegroupstaggingapi.GetResourcesInput{TagFilters: filters})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list what carries the stack's tags: %w", err)
		}
		for _, r := range page.ResourceTagMappingList {
			all = append(all, aws.ToString(r.ResourceARN))
		}
	}
	return all, nil
}
