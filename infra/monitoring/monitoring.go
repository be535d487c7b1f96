// Package monitoring declares what tells people how a stack does: a dashboard, and alarms when somebody is to hear them.
package monitoring

import (
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/sns"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const token = "todo:aws:Monitoring"

// Args decides what a Monitoring is made of.
type Args struct {
	// PhysicalName names the dashboard in AWS, unique in the account. Required.
	PhysicalName string
	// Region is where the metrics are. Required.
	Region string
	// ServiceName and ServiceID are what App Runner files its metrics under, DatabaseID is Aurora's. Required.
	ServiceName, ServiceID, DatabaseID pulumi.StringInput
	// MinCapacity, MaxCapacity and MaxConnections are the database's bounds. MaxCapacity and MaxConnections are required.
	MinCapacity, MaxCapacity float64
	MaxConnections           int
	// Email or TopicARN hears the alarms; without either there are none.
	Email, TopicARN string
}

// Monitoring is a dashboard of service and database, with alarms.
type Monitoring struct {
	pulumi.ResourceState

	// URL is where the dashboard is seen.
	URL pulumi.StringOutput
}

// New declares a monitoring.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Monitoring, error) {
	monitoring := &Monitoring{}
	err := ctx.RegisterComponentResource(token, name, monitoring, opts...)
	if err != nil {
		return nil, err
	}
	inside := pulumi.Parent(monitoring)

	dashboard, err := cloudwatch.NewDashboard(ctx, name+"-dashboard", &cloudwatch.DashboardArgs{
		DashboardName: pulumi.String(args.PhysicalName),
		DashboardBody: dashboardBody(args),
	}, inside, pulumi.IgnoreChanges([]string{"dashboardName"}))
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	recipient, err := newRecipient(ctx, name, args, inside)
	if err != nil {
		return nil, fmt.Errorf("recipient: %w", err)
	}
	if recipient != nil {
		err = newAlarms(ctx, name, args, recipient, inside)
		if err != nil {
			return nil, err
		}
	}

	monitoring.URL = pulumi.Sprintf("https://%s.console.aws.amazon.com/cloudwatch/home?region=%s#dashboards/dashboard/%s",
		args.Region, args.Region, dashboard.DashboardName)
	return monitoring, ctx.RegisterResourceOutputs(monitoring, pulumi.Map{"url": monitoring.URL})
}

// newRecipient is the topic that hears the alarms, or nil. An e-mail's owner is asked by AWS to confirm before any alarm
// comes. The topic is not encrypted: CloudWatch may not use the key that AWS keeps for topics, and would be silent.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
func newRecipient(ctx *pulumi.Context, name string, args *Args, inside pulumi.ResourceOption) (pulumi.StringInput, error) {
	if args.Email == "" {
		if args.TopicARN == "" {
			return nil, nil
		}
		return pulumi.String(args.TopicARN), nil
	}
	topic, err := sns.NewTopic(ctx, name+"-alarms", nil, inside)
	if err != nil {
		return nil, fmt.Errorf("topic: %w", err)
	}
	_, err = sns.NewTopicSubscription(ctx, name+"-email", &sns.TopicSubscriptionArgs{
		Topic:    topic.Arn,
		Protocol: pulumi.String("email"),
		Endpoint: pulumi.String(args.Email),
	}, inside)
	if err != nil {
		return nil, fmt.Errorf("subscription: %w", err)
	}
	return topic.Arn, nil
}
