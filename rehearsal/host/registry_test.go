package host

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	emptyimage "github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"example.com/todo/rehearsal/account"
	"example.com/todo/rehearsal/provider"
)

// The image of this very program and the role that may pull it.
const (
	repositoryURL = account.ID + ".dkr.ecr." + region + ".amazonaws.com/test"
	accessRole    = "arn:aws:iam::" + account.ID + ":role/test-access"
)

// repository holds the image that the tests' services run.
func (c *cloud) repository() error {
	if _, err := c.make("aws:ecr/repository:Repository", "repository", props{"name": "test"}); err != nil {
		return err
	}
	_, err := c.make("aws:iam/role:Role", "access", props{"name": "test-access", "assumeRolePolicy": `{"Version":"2012-10-17","Statement":{
		"Effect":"Allow","Principal":{"Service":"build.apprunner.amazonaws.com"},"Action":"sts:AssumeRole"}}`})
	if err != nil {
		return err
	}
	_, err = c.make("aws:iam/rolePolicy:RolePolicy", "access", props{"role": "test-access", "policy": `{"Version":"2012-10-17","Statement":{
		"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"*"}}`})
	if err != nil {
		return err
	}
	return c.push("v1", v1.Config{Entrypoint: []string{"/todo"}}, "amd64")
}

// push pushes an image whose only file is this program, in a few words.
func (c *cloud) push(tag string, config v1.Config, architecture string) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program of the instances: %w", err)
	}
	script := fmt.Sprintf("#!/bin/sh\nunset PWD OLDPWD\nexec '%s' \"$@\"\n", program)
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	header := &tar.Header{Name: "todo", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(script))}
	if err := errors.Join(archive.WriteHeader(header), writeString(archive, script), archive.Close()); err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil })
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(emptyimage.Image, layer)
	if err != nil {
		return err
	}
	described, err := image.ConfigFile()
	if err != nil {
		return err
	}
	described.OS, described.Architecture, described.Config = "linux", architecture, config
	if image, err = mutate.ConfigFile(image, described); err != nil {
		return err
	}
	answer, failures, err := c.host.Account.Invoke(c.ctx, provider.Session{Region: region}, "aws:ecr/getAuthorizationToken:getAuthorizationToken", nil)
	if err != nil || len(failures) > 0 {
		return fmt.Errorf("log in to the registry: %v %w", failures, err)
	}
	reference, err := name.NewTag(repositoryURL + ":" + tag)
	if err != nil {
		return err
	}
	return remote.Write(reference, image, remote.WithContext(c.ctx), remote.WithTransport(c.host.Registry()),
		remote.WithAuth(&authn.Basic{Username: "AWS", Password: answer["password"].StringValue()}))
}

func writeString(w io.Writer, text string) error {
	_, err := io.WriteString(w, text)
	return err
}

// ECR-6, AR-13
func TestImagesThatCannotRun(t *testing.T) {
	c := newCloud(t)
	powerless := c.mustRole(t, "powerless", "build.apprunner.amazonaws.com", "")
	halfway := c.mustMake(t, "aws:iam/role:Role", "halfway", props{"assumeRolePolicy": `{"Version":"2012-10-17","Statement":{
		"Effect":"Allow","Principal":{"Service":"build.apprunner.amazonaws.com"},"Action":"sts:AssumeRole"}}`})
	c.mustMake(t, "aws:iam/rolePolicy:RolePolicy", "halfway", props{"role": halfway.id, "policy": `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"},
		{"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:eu-west-1:123456789012:repository/another"}]}`})
	for tag, push := range map[string]struct {
		config       v1.Config
		architecture string
	}{
		"arm": {v1.Config{Entrypoint: []string{"/todo"}}, "arm64"}, "idle": {v1.Config{}, "amd64"}, "lost": {v1.Config{Cmd: []string{"/other"}}, "amd64"},
	} {
		if err := c.push(tag, push.config, push.architecture); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct{ role, image, says string }{
		{accessRole, repositoryURL + ":arm", "exec format error (the image is for linux/arm64"},
		{accessRole, repositoryURL + ":idle", "no command specified"},
		{accessRole, repositoryURL + ":lost", `exec: "/other": no such file or directory`},
		{accessRole, repositoryURL + ":unknown", "MANIFEST_UNKNOWN"},
		{accessRole, repositoryURL + "@sha256:" + strings.Repeat("0", 64), "MANIFEST_UNKNOWN"},
		{accessRole, strings.Replace(repositoryURL, "/test", "/other:v1", 1), "NAME_UNKNOWN: The repository with name 'other' does not exist"},
		{powerless, repositoryURL + ":v1", "is not authorized to perform: ecr:GetAuthorizationToken on resource: *"},
		{halfway.output("arn"), repositoryURL + ":v1", "is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:eu-west-1:123456789012:repository/test"},
		{accessRole, "nginx:latest", "is none of the simulated account's registries"},
	} {
		spec := newSpec("one", nil)
		spec.Image, spec.AccessRoleARN = row.image, row.role
		if _, err := c.host.Deploy(t.Context(), spec); err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s in %s: got %v, want %q", row.image, row.role, err, row.says)
		}
	}
	if left := c.alive(t); len(left) != 0 {
		t.Errorf("%v run all the same", left)
	}
}

// ECR-6
func TestTheImageIsRunByItsDigest(t *testing.T) {
	c := newCloud(t)
	images := c.host.Account.Images(repositoryURL)
	if len(images) != 1 {
		t.Fatalf("the repository holds %v", images)
	}
	if err := c.push("v1", v1.Config{Entrypoint: []string{"/nonexistent"}}, "amd64"); err != nil {
		t.Fatal(err)
	}
	spec := newSpec("one", nil)
	spec.Image = repositoryURL + "@" + images[0].Digest
	host := c.mustDeploy(t, spec)
	if status, body := mustGet(t, c.client(t), "https://"+host+"/revision"); status != 200 || body != "one" {
		t.Errorf("answered %d %q, want the image of that digest, whose tag has moved on", status, body)
	}
}

// Two stacks of one account may run the same image, and pull it at once. ECR-6
func TestServicesShareAnImage(t *testing.T) {
	c := newCloud(t)
	var deployments sync.WaitGroup
	for _, name := range []string{"one", "two", "three", "four"} {
		deployments.Go(func() {
			spec := newSpec(name, nil)
			spec.ARN += name
			host, err := c.host.Deploy(t.Context(), spec)
			if err != nil {
				t.Error(err)
				return
			}
			if _, body, err := get(c.client(t), "https://"+host+"/revision"); err != nil || body != name {
				t.Errorf("%s answers %q, %v", name, body, err)
			}
		})
	}
	deployments.Wait()
}
