package image

import (
	"encoding/json"
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ecr"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// kept is how many images stay to go back to.
const kept = 20

func newRepository(ctx *pulumi.Context, name string, protect bool, inside pulumi.ResourceOption) (*ecr.Repository, error) {
	repository, err := ecr.NewRepository(ctx, name+"-repository", &ecr.RepositoryArgs{
		ForceDelete: pulumi.Bool(!protect),
		// A tag is the hash of its content, so going back to earlier content pushes an earlier tag again. An immutable
		// repository refuses that even for the same image; and what runs is pinned by digest, not by tag.
		// https://github.com/aws/containers-roadmap/issues/2380
		ImageTagMutability:         pulumi.String("MUTABLE"),
		ImageScanningConfiguration: ecr.RepositoryImageScanningConfigurationArgs{ScanOnPush: pulumi.Bool(true)},
		EncryptionConfigurations: ecr.RepositoryEncryptionConfigurationArray{
			ecr.RepositoryEncryptionConfigurationArgs{EncryptionType: pulumi.String("AES256")},
		},
	}, inside, pulumi.Protect(protect))
	if err != nil {
		return nil, fmt.Errorf("repository: %w", err)
	}
	policy, err := keepNewest(kept)
	if err != nil {
		return nil, err
	}
	_, err = ecr.NewLifecyclePolicy(ctx, name+"-lifecycle", &ecr.LifecyclePolicyArgs{
		Repository: repository.Name,
		Policy:     pulumi.String(policy),
	}, inside)
	if err != nil {
		return nil, fmt.Errorf("lifecycle policy: %w", err)
	}
	return repository, nil
}

// lifecycle is ECR's policy document.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
type lifecycle struct {
	Rules []lifecycleRule `json:"rules"`
}

type lifecycleRule struct {
	Priority    int       `json:"rulePriority"`
	Description string    `json:"description"`
	Selection   selection `json:"selection"`
	Action      action    `json:"action"`
}

type selection struct {
	TagStatus   string `json:"tagStatus"`
	CountType   string `json:"countType"`
	CountNumber int    `json:"countNumber"`
}

type action struct {
	Type string `json:"type"`
}

// keepNewest counts tagged and untagged images alike: an image that lost its tag may be the one that runs.
func keepNewest(count int) (string, error) {
	text, err := json.Marshal(lifecycle{Rules: []lifecycleRule{{
		Priority:    1,
		Description: fmt.Sprintf("keep the %d newest images", count),
		Selection:   selection{TagStatus: "any", CountType: "imageCountMoreThan", CountNumber: count},
		Action:      action{Type: "expire"},
	}}})
	if err != nil {
		return "", fmt.Errorf("lifecycle policy: %w", err)
	}
	return string(text), nil
}
