// Package image builds the service's container image and pushes it to a repository of its own.
package image

import (
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ecr"
	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	token = "todo:aws:Image"

	// platform is the only one that App Runner runs; without it Docker builds for the machine that deploys.
	// https://github.com/aws/apprunner-roadmap/issues/98
	platform = "linux/amd64"

	versionArg = "VERSION"
	commitArg  = "COMMIT"
)

// Args decides what an Image is made of.
type Args struct {
	// Context is the directory that the build may read, relative to the program. Its .dockerignore and Dockerfile say
	// what the image is made of. Required.
	Context string
	// Protect keeps a repository that still has images from being deleted.
	Protect bool
}

// Image is a container image in ECR, known by its digest.
type Image struct {
	pulumi.ResourceState

	// Reference is repository@digest: what runs is what was built, whatever happens to the tag.
	Reference     pulumi.StringOutput
	RepositoryURL pulumi.StringOutput
	RepositoryARN pulumi.StringOutput
	// Version is the hash of the files that the image is built from.
	Version string
}

// New builds and pushes the image.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Image, error) {
	from, err := readSource(args.Context)
	if err != nil {
		return nil, fmt.Errorf("source of the image: %w", err)
	}
	image := &Image{Version: from.version}
	err = ctx.RegisterComponentResource(token, name, image, opts...)
	if err != nil {
		return nil, err
	}
	inside := pulumi.Parent(image)

	repository, err := newRepository(ctx, name, args.Protect, inside)
	if err != nil {
		return nil, err
	}
	login := ecr.GetAuthorizationTokenOutput(ctx, ecr.GetAuthorizationTokenOutputArgs{
		RegistryId: repository.RegistryId,
	}, inside)
	built, err := docker.NewImage(ctx, name+"-build", &docker.ImageArgs{
		ImageName: pulumi.Sprintf("%s:%s", repository.RepositoryUrl, from.tag()),
		Build: docker.DockerBuildArgs{
			Context:    pulumi.String(args.Context),
			Dockerfile: pulumi.String(dockerfile(args.Context)),
			Platform:   pulumi.String(platform),
			Args: pulumi.StringMap{
				versionArg: pulumi.String(from.version),
				commitArg:  pulumi.String(from.commit),
			},
		},
		Registry: docker.RegistryArgs{
			Server:   repository.RepositoryUrl,
			Username: login.UserName(),
			Password: pulumi.ToSecret(login.Password()).(pulumi.StringOutput),
		},
	}, inside)
	if err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}

	image.Reference = built.RepoDigest
	image.RepositoryURL = repository.RepositoryUrl
	image.RepositoryARN = repository.Arn
	return image, ctx.RegisterResourceOutputs(image, pulumi.Map{
		"reference":     image.Reference,
		"repositoryUrl": image.RepositoryURL,
		"repositoryArn": image.RepositoryARN,
		"version":       pulumi.String(image.Version),
	})
}
