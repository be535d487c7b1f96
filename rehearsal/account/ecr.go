package account

import (
	"fmt"

	"example.com/todo/rehearsal/schema"
)

const (
	tokenRepository      = "aws:ecr/repository:Repository"
	tokenLifecyclePolicy = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
)

var repositories = []*kind{
	{
		Type: &schema.Type{
			Token: tokenRepository, Tagged: true, AutoName: "name", MaxName: 256,
			Inputs: withTags(schema.Properties{
				"name": {Kind: schema.String, Replaces: true, API: []schema.Rule{schema.Length(2, 256),
					schema.Match(`^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:(\.|_|__|-+)[a-z0-9]+)*$`, "must satisfy regular expression '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*'")}},
				"forceDelete":        {Kind: schema.Bool},
				"imageTagMutability": {Kind: schema.String, Default: "MUTABLE", Check: []schema.Rule{schema.OneOf("MUTABLE", "IMMUTABLE")}},
				"imageScanningConfiguration": {Kind: schema.Object, Fields: schema.Properties{
					"scanOnPush": {Kind: schema.Bool, Required: true}}},
				"encryptionConfigurations": {Kind: schema.List, Replaces: true, Elem: &schema.Property{Kind: schema.Object, Fields: schema.Properties{
					"encryptionType": {Kind: schema.String, Default: "AES256", Check: []schema.Rule{schema.OneOf("AES256", "KMS", "KMS_DSSE")}}}}},
			}),
			Outputs: schema.Properties{"arn": text, "registryId": text, "repositoryUrl": text},
		},
		service: "ECR", noun: "Repository", create: "CreateRepository", update: "PutImageTagMutability", destroy: "DeleteRepository",
		invalid: "InvalidParameterException", missing: "RepositoryNotFoundException",
		made: func(c *call) error {
			// ECR-1
			if c.a.find(tokenRepository, c.str("name")) != nil {
				return c.refusal("CreateRepository", "RepositoryAlreadyExistsException",
					fmt.Sprintf("The repository with name '%s' already exists in the registry with id '%s'", c.str("name"), ID))
			}
			c.ID = c.str("name")
			c.set("arn", c.arn("ecr", "repository/"+c.ID))
			c.set("registryId", ID)
			c.set("repositoryUrl", RegistryHost(c.Region)+"/"+c.ID)
			c.a.repositories[c.str("repositoryUrl")] = newRepository(c.Resource)
			return nil
		},
		refuse: func(c *call) error {
			// ECR-2
			if len(c.a.repositories[c.str("repositoryUrl")].images) > 0 && !c.flag("forceDelete") {
				return fmt.Errorf("ECR Repository (%s) not empty, consider using force_delete: %w", c.ID, c.refusal("DeleteRepository", "RepositoryNotEmptyException",
					fmt.Sprintf("The repository with name '%s' in registry with id '%s' cannot be deleted because it still contains images", c.ID, ID)))
			}
			delete(c.a.repositories, c.str("repositoryUrl"))
			return nil
		},
	},
	{
		Type: &schema.Type{
			Token: tokenLifecyclePolicy, DeleteFirst: true,
			Inputs: schema.Properties{
				"repository": {Kind: schema.String, Required: true, Replaces: true, Refers: tokenRepository},
				"policy":     {Kind: schema.String, Required: true, Replaces: true, Check: []schema.Rule{schema.JSON}, API: []schema.Rule{schema.Length(100, 30720)}},
			},
			Outputs: schema.Properties{"registryId": text},
		},
		service: "ECR", noun: "Lifecycle Policy", create: "PutLifecyclePolicy", update: "PutLifecyclePolicy", destroy: "DeleteLifecyclePolicy",
		invalid: "InvalidParameterException", missing: "LifecyclePolicyNotFoundException",
		made: func(c *call) error {
			// ECR-3
			if _, err := parseLifecycle(c.str("policy")); err != nil {
				return c.refusal("PutLifecyclePolicy", "InvalidParameterException",
					"Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: "+err.Error()+"'")
			}
			c.ID = c.str("repository")
			c.set("registryId", ID)
			return nil
		},
	},
}

// RegistryHost is the name under which a region's registry is asked.
func RegistryHost(region string) string {
	return ID + ".dkr.ecr." + region + ".amazonaws.com"
}
