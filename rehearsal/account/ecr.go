package account

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

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
			c.set("repositoryUrl", registry(c.Region)+"/"+c.ID)
			return nil
		},
		refuse: func(c *call) error {
			// ECR-2
			if len(c.a.images[c.str("repositoryUrl")]) > 0 && !c.flag("forceDelete") {
				return fmt.Errorf("ECR Repository (%s) not empty, consider using force_delete: %w", c.ID, c.refusal("DeleteRepository", "RepositoryNotEmptyException",
					fmt.Sprintf("The repository with name '%s' in registry with id '%s' cannot be deleted because it still contains images", c.ID, ID)))
			}
			delete(c.a.images, c.str("repositoryUrl"))
			delete(c.a.tags, c.str("repositoryUrl"))
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
			if err := checkLifecycle(c.str("policy")); err != nil {
				return c.refusal("PutLifecyclePolicy", "InvalidParameterException",
					"Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: "+err.Error()+"'")
			}
			c.ID = c.str("repository")
			c.set("registryId", ID)
			return nil
		},
	},
}

func registry(region string) string {
	return ID + ".dkr.ecr." + region + ".amazonaws.com"
}

// checkLifecycle applies https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html.
func checkLifecycle(document string) error {
	var policy struct {
		Rules []struct {
			Priority    int    `json:"rulePriority"`
			Description string `json:"description"`
			Selection   struct {
				TagStatus      string   `json:"tagStatus"`
				TagPrefixList  []string `json:"tagPrefixList"`
				TagPatternList []string `json:"tagPatternList"`
				CountType      string   `json:"countType"`
				CountUnit      string   `json:"countUnit"`
				CountNumber    int      `json:"countNumber"`
			} `json:"selection"`
			Action struct {
				Type string `json:"type"`
			} `json:"action"`
		} `json:"rules"`
	}
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&policy); err != nil {
		return err
	}
	if len(policy.Rules) == 0 {
		return fmt.Errorf("rules must not be empty")
	}
	var priorities []int
	untagged, anyPriority := 0, 0
	for _, rule := range policy.Rules {
		s := rule.Selection
		listed := len(s.TagPrefixList)+len(s.TagPatternList) > 0
		switch {
		case rule.Priority < 1 || slices.Contains(priorities, rule.Priority):
			return fmt.Errorf("rulePriority %d must be positive and unique", rule.Priority)
		case !slices.Contains([]string{"tagged", "untagged", "any"}, s.TagStatus):
			return fmt.Errorf("tagStatus %q must be tagged, untagged or any", s.TagStatus)
		case (s.TagStatus == "tagged") != listed:
			return fmt.Errorf("tagPrefixList or tagPatternList is required with tagStatus tagged and refused otherwise (rule %d)", rule.Priority)
		case s.CountType != "imageCountMoreThan" && s.CountType != "sinceImagePushed":
			return fmt.Errorf("countType %q must be imageCountMoreThan or sinceImagePushed", s.CountType)
		case (s.CountType == "sinceImagePushed") != (s.CountUnit == "days"):
			return fmt.Errorf("countUnit days is required with sinceImagePushed and refused otherwise (rule %d)", rule.Priority)
		case s.CountNumber < 1:
			return fmt.Errorf("countNumber %d must be positive", s.CountNumber)
		case rule.Action.Type != "expire":
			return fmt.Errorf("action type %q must be expire", rule.Action.Type)
		}
		priorities = append(priorities, rule.Priority)
		if s.TagStatus == "untagged" {
			untagged++
		}
		if s.TagStatus == "any" {
			anyPriority = rule.Priority
		}
	}
	if untagged > 1 {
		return fmt.Errorf("only one rule may select untagged images")
	}
	if anyPriority != 0 && anyPriority != slices.Max(priorities) {
		return fmt.Errorf("a rule with tagStatus any must have the highest rulePriority")
	}
	return nil
}

// authorizationToken gives out a password for the registry. (ECR-4)
func (a *Account) authorizationToken() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	token := rand.Text()
	a.tokens[token] = true
	return token
}

// Push takes an image into a repository as `docker push` does and answers its digest reference. (ECR-5)
// The texts are those of the registry.
func (a *Account) Push(repositoryURL, tag, username, password string, image Image) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if username != "AWS" || !a.tokens[password] {
		return "", fmt.Errorf("push %s:%s: no basic auth credentials", repositoryURL, tag)
	}
	repository := a.find(tokenRepository+"#repositoryUrl", repositoryURL)
	if repository == nil {
		_, name, _ := strings.Cut(repositoryURL, "/")
		return "", fmt.Errorf("push %s:%s: name unknown: The repository with name '%s' does not exist in the registry with id '%s'", repositoryURL, tag, name, ID)
	}
	if _, taken := a.tags[repositoryURL][tag]; taken && repository.str("imageTagMutability") == "IMMUTABLE" {
		return "", fmt.Errorf("push %s:%s: tag invalid: The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the repository is immutable.", repositoryURL, tag, tag, repository.ID)
	}
	if a.images[repositoryURL] == nil {
		a.images[repositoryURL], a.tags[repositoryURL] = map[string]Image{}, map[string]string{}
	}
	a.images[repositoryURL][image.Digest] = image
	a.tags[repositoryURL][tag] = image.Digest
	return repositoryURL + "@" + image.Digest, nil
}

// pull is the image that a reference names, for a role that may pull it. (ECR-6)
func (a *Account) pull(roleARN, reference string) (Image, error) {
	url, digest, byDigest := strings.Cut(reference, "@")
	if !byDigest {
		var tag string
		url, tag, _ = strings.Cut(reference, ":")
		digest = a.tags[url][tag]
	}
	repository := a.find(tokenRepository+"#repositoryUrl", url)
	if repository == nil {
		return Image{}, fmt.Errorf("the repository of %s does not exist", reference)
	}
	caller := Caller{RoleARN: roleARN, Region: repository.Region}
	if err := a.authorize(caller, "ecr:GetAuthorizationToken", "*"); err != nil {
		return Image{}, err
	}
	for _, action := range []string{"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"} {
		if err := a.authorize(caller, action, repository.str("arn")); err != nil {
			return Image{}, err
		}
	}
	image, exists := a.images[url][digest]
	if !exists {
		return Image{}, fmt.Errorf("the image %s does not exist", reference)
	}
	return image, nil
}
