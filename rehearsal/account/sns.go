package account

import (
	"regexp"

	"example.com/todo/rehearsal/schema"
)

const (
	tokenTopic        = "aws:sns/topic:Topic"
	tokenSubscription = "aws:sns/topicSubscription:TopicSubscription"
)

var address = regexp.MustCompile(`^[^@\s<>]+@[^@\s<>]+$`)

var topics = []*kind{
	{
		Type: &schema.Type{
			Token: tokenTopic, Tagged: true, AutoName: "name", MaxName: 256,
			Inputs: withTags(schema.Properties{
				// SNS-1
				"name": {Kind: schema.String, Replaces: true, Check: []schema.Rule{schema.Match(`^[a-zA-Z0-9_-]{1,256}$`, "invalid name of a topic")}},
			}),
			Outputs: schema.Properties{"arn": text, "owner": text},
		},
		service: "SNS", noun: "Topic", create: "CreateTopic", update: "TagResource", destroy: "DeleteTopic",
		invalid: "InvalidParameter", missing: "NotFound",
		made: func(c *call) error {
			c.ID = c.arn("sns", c.str("name"))
			c.set("arn", c.ID)
			c.set("owner", ID)
			return nil
		},
	},
	{
		Type: &schema.Type{
			Token: tokenSubscription,
			Inputs: schema.Properties{
				"topic":                        {Kind: schema.String, Required: true, Replaces: true, Refers: tokenTopic},
				"protocol":                     {Kind: schema.String, Required: true, Replaces: true, Check: []schema.Rule{schema.OneOf("application", "email", "email-json", "firehose", "http", "https", "lambda", "sms", "sqs")}, API: []schema.Rule{schema.Equals("email")}},
				"endpoint":                     {Kind: schema.String, Required: true, Replaces: true},
				"confirmationTimeoutInMinutes": {Kind: schema.Number, Default: 1.0},
				"endpointAutoConfirms":         {Kind: schema.Bool, Default: false},
				"rawMessageDelivery":           {Kind: schema.Bool, Default: false},
			},
			Outputs: schema.Properties{"arn": text, "ownerId": text, "pendingConfirmation": boolean, "confirmationWasAuthenticated": boolean},
		},
		service: "SNS", noun: "Topic Subscription", create: "Subscribe", update: "SetSubscriptionAttributes", destroy: "Unsubscribe",
		invalid: "InvalidParameter", missing: "NotFound",
		made: func(c *call) error {
			// SNS-2
			if !address.MatchString(c.str("endpoint")) {
				return c.refusal("Subscribe", "InvalidParameter", "Invalid parameter: Email address")
			}
			c.ID = c.str("topic") + ":" + uuid(c.ID)
			c.set("arn", c.ID)
			c.set("ownerId", ID)
			// SNS-3
			c.set("pendingConfirmation", true)
			c.set("confirmationWasAuthenticated", false)
			return nil
		},
	},
}
