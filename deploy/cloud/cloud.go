// Package cloud reads what a deployment needs to know of an AWS account, and changes nothing in it.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// An Account is an AWS account in one region, as the credentials of this process see it.
type Account struct {
	aws     aws.Config
	callers *sts.Client
	runner  *apprunner.Client
	logs    *cloudwatchlogs.Client
	quotas  *servicequotas.Client
	tagged  *resourcegroupstaggingapi.Client
}

// Open finds the credentials and endpoints as every AWS SDK does, and asks nobody yet.
// https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
func Open(ctx context.Context, region string) (*Account, error) {
	found, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return nil, fmt.Errorf("configuration of the AWS SDK: %w", err)
	}
	return &Account{
		aws: found, callers: sts.NewFromConfig(found), runner: apprunner.NewFromConfig(found),
		logs: cloudwatchlogs.NewFromConfig(found), quotas: servicequotas.NewFromConfig(found),
		tagged: resourcegroupstaggingapi.NewFromConfig(found),
	}, nil
}

// Caller is whose credentials these are.
func (a *Account) Caller(ctx context.Context) (arn string, err error) {
	answer, err := a.callers.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", fmt.Errorf("ask STS whose credentials these are: %w", err)
	}
	return aws.ToString(answer.Arn), nil
}

// A Service is one of App Runner's.
type Service struct {
	Name, ARN, Status string
}

// Services are all of App Runner's in the region.
func (a *Account) Services(ctx context.Context) ([]Service, error) {
	var all []Service
	for pages := apprunner.NewListServicesPaginator(a.runner, &apprunner.ListServicesInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the services of App Runner: %w", err)
		}
		for _, s := range page.ServiceSummaryList {
			all = append(all, Service{aws.ToString(s.ServiceName), aws.ToString(s.ServiceArn), string(s.Status)})
		}
	}
	return all, nil
}

// An Operation is what App Runner did to a service last. A failed update ends as ROLLBACK_SUCCEEDED, with a service that
// runs as before. https://docs.aws.amazon.com/apprunner/latest/api/API_OperationSummary.html
type Operation struct {
	Type, Status string
	Started      time.Time
}

// Failed says whether the operation left the service as it was before, or not running at all.
func (o Operation) Failed() bool {
	return o.Status == "FAILED" || strings.HasPrefix(o.Status, "ROLLBACK_")
}

// LastOperation is the service's newest.
func (a *Account) LastOperation(ctx context.Context, serviceARN string) (Operation, error) {
	answer, err := a.runner.ListOperations(ctx, &apprunner.ListOperationsInput{ServiceArn: &serviceARN})
	if err != nil {
		return Operation{}, fmt.Errorf("list the operations of %s: %w", serviceARN, err)
	}
	var last Operation
	for _, o := range answer.OperationSummaryList {
		if started := aws.ToTime(o.StartedAt); !started.Before(last.Started) {
			last = Operation{string(o.Type), string(o.Status), started}
		}
	}
	if last.Type == "" {
		return Operation{}, fmt.Errorf("no operation of %s is listed", serviceARN)
	}
	return last, nil
}

// A Line is one of a log.
type Line struct {
	At           time.Time
	Stream, Text string
}

// Log is what was written to a log group since a time, the oldest first. A group that is not there is empty.
func (a *Account) Log(ctx context.Context, group string, since time.Time) ([]Line, error) {
	var all []Line
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(a.logs, &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: &group, StartTime: aws.Int64(since.UnixMilli()),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		var missing *types.ResourceNotFoundException
		if errors.As(err, &missing) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the log group %s: %w", group, err)
		}
		for _, e := range page.Events {
			all = append(all, Line{time.UnixMilli(aws.ToInt64(e.Timestamp)), aws.ToString(e.LogStreamName), strings.TrimSpace(aws.ToString(e.Message))})
		}
	}
	slices.SortStableFunc(all, func(x, y Line) int { return x.At.Compare(y.At) })
	return all, nil
}
