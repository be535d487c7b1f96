// Package docker stands in for the Docker provider: it builds the image's program from the image's build
// context, as the Dockerfile does, and pushes it to the simulated registry. What it answers, and when, is what
// pulumi-docker 4.10 does (provider/provider.go, provider/image.go of github.com/pulumi/pulumi-docker).
package docker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"example.com/todo/rehearsal/provider"
	"example.com/todo/rehearsal/schema"
)

const tokenImage = "docker:index/image:Image"

// A Builder makes an image; see Build.
type Builder func(context.Context, Source) (v1.Image, error)

// A Source is what an image is built from; the paths are absolute.
type Source struct {
	Context, Dockerfile string
	Args                map[string]string
	Platform            string
}

// A Docker is the provider. It is safe for concurrent use.
type Docker struct {
	// Program is the folder of the Pulumi program, which paths are relative to.
	Program string
	// Registry leads to the registries that images are pushed to.
	Registry http.RoundTripper
	// Build makes the images.
	Build Builder
}

var text = schema.Property{Kind: schema.String}

// image has the SDK's properties, as far as they are modelled. (DOC-6)
var image = &schema.Type{
	Token: tokenImage,
	Inputs: schema.Properties{
		"imageName": {Kind: schema.String, Required: true},
		"build": {Kind: schema.Object, Required: true, Fields: schema.Properties{
			"context":    {Kind: schema.String, Default: "."},
			"dockerfile": text,
			"platform":   {Kind: schema.String, Default: "linux/" + runtime.GOARCH},
			"args":       {Kind: schema.Map, Elem: &text},
			// What the provider itself adds to the inputs.
			"contextDigest":  text,
			"builderVersion": {Kind: schema.String, Default: "BuilderBuildKit", Check: []schema.Rule{schema.OneOf("BuilderV1", "BuilderBuildKit")}},
		}},
		"registry": {Kind: schema.Object, Required: true, Fields: schema.Properties{
			"server": text,
			// A registry's password changes all the time and is no reason to build again. (DOC-5)
			"username": {Kind: schema.String, Silent: true}, "password": {Kind: schema.String, Silent: true},
		}},
		"skipPush":       {Kind: schema.Bool, Default: false},
		"buildOnPreview": {Kind: schema.Bool, Default: false},
	},
	Outputs: schema.Properties{
		"baseImageName": text, "context": text, "dockerfile": text, "platform": text, "registryServer": text, "repoDigest": text,
	},
	Volatile: []string{"repoDigest"},
	Rules: []func(resource.PropertyMap) *schema.Failure{
		func(inputs resource.PropertyMap) *schema.Failure {
			// DOC-4
			for _, name := range []resource.PropertyKey{"skipPush", "buildOnPreview"} {
				if v := inputs[name]; v.IsBool() && v.BoolValue() {
					return &schema.Failure{Property: string(name), Reason: "with it repoDigest is a local image's id, which App Runner refuses"}
				}
			}
			return nil
		},
	},
}

// Type implements provider.Cloud.
func (d *Docker) Type(token string) (*schema.Type, bool) { return image, token == tokenImage }

// Configure implements provider.Cloud.
func (d *Docker) Configure(resource.PropertyMap) (provider.Session, []schema.Failure) {
	return provider.Session{}, nil
}

// Complete implements provider.Cloud: it finds the Dockerfile and hashes the context, also in a preview. (DOC-2)
func (d *Docker) Complete(_ string, inputs resource.PropertyMap) []schema.Failure {
	build := inputs["build"].ObjectValue()
	contextPath, ok := known(build, "context")
	if !ok {
		return nil
	}
	dockerfile, ok := known(build, "dockerfile")
	if !ok {
		if build["dockerfile"].IsComputed() {
			return nil
		}
		dockerfile = filepath.Join(contextPath, "Dockerfile")
		build["dockerfile"] = resource.NewProperty(dockerfile)
	}
	digest, err := hashContext(d.path(contextPath), d.path(dockerfile))
	if err != nil {
		return []schema.Failure{{Property: "build.dockerfile", Reason: fmt.Sprintf("could not open dockerfile at relative path %q, or its context: %v", dockerfile, err)}}
	}
	build["contextDigest"] = resource.NewProperty(digest)
	inputs["build"] = resource.NewProperty(build)
	return nil
}

// Create implements provider.Cloud.
func (d *Docker) Create(ctx context.Context, _ provider.Session, _ resource.URN, inputs resource.PropertyMap) (string, resource.PropertyMap, error) {
	state, err := d.push(ctx, inputs)
	if err != nil {
		return "", nil, err
	}
	return state["imageName"].StringValue(), state, nil
}

// Read implements provider.Cloud. The provider does not look whether the image is still there, and it answers what the
// engine knows; the rehearsal keeps nothing of its own.
func (d *Docker) Read(context.Context, provider.Session, string, string) (resource.PropertyMap, resource.PropertyMap, error) {
	return nil, nil, provider.ErrAsKnown
}

// Update implements provider.Cloud.
func (d *Docker) Update(ctx context.Context, _ provider.Session, _, _ string, inputs resource.PropertyMap) (resource.PropertyMap, error) {
	return d.push(ctx, inputs)
}

// Delete implements provider.Cloud. The provider removes nothing, neither here nor in the registry.
func (d *Docker) Delete(context.Context, provider.Session, string, string) error { return nil }

// Invoke implements provider.Cloud.
func (d *Docker) Invoke(_ context.Context, _ provider.Session, token string, _ resource.PropertyMap) (resource.PropertyMap, []schema.Failure, error) {
	return nil, nil, fmt.Errorf("the rehearsal does not know the function %s", token)
}

var imageName = regexp.MustCompile(`^([^/]+\.[^/]+/[^:@]+):([\w][\w.-]{0,127})$`)

func (d *Docker) push(ctx context.Context, inputs resource.PropertyMap) (resource.PropertyMap, error) {
	target := inputs["imageName"].StringValue()
	// DOC-4
	if !imageName.MatchString(target) {
		return nil, fmt.Errorf("%q: the image name must be registry/repository:tag. This resource requires all image names to be fully qualified", target)
	}
	build, registry := inputs["build"].ObjectValue(), inputs["registry"].ObjectValue()
	contextPath, _ := known(build, "context")
	dockerfile, _ := known(build, "dockerfile")
	platform, _ := known(build, "platform")
	username, _ := known(registry, "username")
	password, _ := known(registry, "password")
	server, _ := known(registry, "server")
	args := map[string]string{}
	if build["args"].IsObject() {
		for k, v := range build["args"].ObjectValue() {
			args[string(k)] = v.StringValue()
		}
	}
	built, err := d.Build(ctx, Source{Context: d.path(contextPath), Dockerfile: d.path(dockerfile), Args: args, Platform: platform})
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", target, err)
	}
	reference, err := d.pushImage(ctx, target, built, authn.Basic{Username: username, Password: password})
	if err != nil {
		return nil, err
	}
	state := resource.PropertyMap{}
	for k, v := range inputs {
		if !resource.IsInternalPropertyKey(k) {
			state[k] = v
		}
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(server, "https://"), "/")
	state["baseImageName"] = resource.NewProperty(target)
	state["context"] = resource.NewProperty(contextPath)
	state["dockerfile"] = resource.NewProperty(dockerfile)
	state["platform"] = resource.NewProperty(platform)
	state["registryServer"] = resource.NewProperty(host)
	state["repoDigest"] = resource.NewProperty(reference)
	return state, nil
}

// pushImage pushes as `docker push` does, with its words for what the registry refuses, and answers repository@digest. (DOC-8)
func (d *Docker) pushImage(ctx context.Context, target string, built v1.Image, login authn.Basic) (string, error) {
	tag, err := name.NewTag(target, name.StrictValidation)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", target, err)
	}
	err = upload(tag, built, remote.WithContext(ctx), remote.WithTransport(d.Registry), remote.WithAuth(&login))
	var refused *transport.Error
	switch {
	case errors.As(err, &refused) && refused.StatusCode == http.StatusUnauthorized:
		return "", fmt.Errorf("push %s: no basic auth credentials", target)
	case errors.As(err, &refused) && len(refused.Errors) > 0:
		code := strings.ToLower(strings.ReplaceAll(string(refused.Errors[0].Code), "_", " "))
		return "", fmt.Errorf("push %s: %s: %s", target, code, refused.Errors[0].Message)
	case err != nil:
		return "", fmt.Errorf("push %s: %w", target, err)
	}
	digest, err := built.Digest()
	if err != nil {
		return "", fmt.Errorf("push %s: %w", target, err)
	}
	return tag.Context().Name() + "@" + digest.String(), nil
}

// upload sends the parts first and the manifest, whatever the tag is now, as `docker push` does.
func upload(tag name.Tag, built v1.Image, options ...remote.Option) error {
	layers, err := built.Layers()
	if err != nil {
		return err
	}
	config, err := partial.ConfigLayer(built)
	if err != nil {
		return err
	}
	for _, layer := range append(layers, config) {
		if err := remote.WriteLayer(tag.Context(), layer, options...); err != nil {
			return err
		}
	}
	return remote.Put(tag, built, options...)
}

func (d *Docker) path(relative string) string {
	if filepath.IsAbs(relative) {
		return relative
	}
	return filepath.Join(d.Program, relative)
}

func known(values resource.PropertyMap, name resource.PropertyKey) (string, bool) {
	if v := values[name]; v.IsString() {
		return v.StringValue(), true
	}
	return "", false
}
