package stack

import (
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

const (
	testProject = "todo"
	testStack   = "dev"
	account     = "123456789012"
)

// recorder stands in for the engine and AWS, and remembers what the program asked of them.
type recorder struct {
	preview bool
	stack   string // testStack when empty

	mu        sync.Mutex
	resources []registration
	invokes   []pulumi.MockCallArgs
}

// registration is one resource as the program declared it.
type registration struct {
	typ, name string
	inputs    resource.PropertyMap
	request   *pulumirpc.RegisterResourceRequest
}

func (r *recorder) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resources = append(r.resources, registration{args.TypeToken, args.Name, args.Inputs, args.RegisterRPC})
	// The SDK's own mock engine cannot carry the unknown password of a repository that is yet to be made, so a preview
	// finds the repository there.
	if r.preview && args.TypeToken != ecrRepository {
		return "", args.Inputs, nil
	}
	state := args.Inputs.Copy()
	maps.Copy(state, computed(args.TypeToken, args.Name))
	if _, ok := state["name"]; !ok {
		state["name"] = resource.NewProperty(args.Name + "-1a2b3c4")
	}
	return args.Name + "-id", state, nil
}

// computed is what AWS adds to a resource.
func computed(typ, name string) resource.PropertyMap {
	arn := "arn:aws:x:eu-west-1:" + account + ":" + name
	values := map[string]any{"arn": arn}
	switch typ {
	case "aws:rds/cluster:Cluster":
		values["clusterResourceId"] = "cluster-ABCDEFGH"
		values["endpoint"] = "todo.cluster-x.eu-west-1.rds.amazonaws.com"
		values["masterUserSecrets"] = []any{map[string]any{"secretArn": secretARN}}
	case "aws:apprunner/customDomainAssociation:CustomDomainAssociation":
		values["dnsTarget"] = "abc.eu-west-1.awsapprunner.com"
		values["certificateValidationRecords"] = []any{
			map[string]any{"name": "_b.example.com.", "type": "CNAME", "value": "_2.acm.aws."},
			map[string]any{"name": "_a.example.com.", "type": "CNAME", "value": "_1.acm.aws."},
		}
	case ingressConnection:
		values["domainName"] = "private.eu-west-1.awsapprunner.com"
	case ecrRepository:
		values["repositoryUrl"] = repositoryURL
		values["registryId"] = account
	case "docker:index/image:Image":
		values["repoDigest"] = imageReference
	case "aws:apprunner/service:Service":
		values["serviceId"] = "0a1b"
		values["serviceUrl"] = "abc.eu-west-1.awsapprunner.com"
	}
	return resource.NewPropertyMapFromMap(values)
}

const (
	ecrRepository = "aws:ecr/repository:Repository"
	// registryPassword is what must be nowhere in plain sight.
	registryPassword = "the-registrys-password"
	secretARN        = "arn:aws:secretsmanager:eu-west-1:" + account + ":secret:rds!cluster-1"
	repositoryURL    = account + ".dkr.ecr.eu-west-1.amazonaws.com/todo"
	imageReference   = repositoryURL + "@sha256:0123"
)

func (r *recorder) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.invokes = append(r.invokes, args)
	switch args.Token {
	case "aws:index/getAvailabilityZones:getAvailabilityZones":
		return resource.NewPropertyMapFromMap(map[string]any{
			"names": []any{"eu-west-1c", "eu-west-1a", "eu-west-1b"},
		}), nil
	case "aws:ecr/getAuthorizationToken:getAuthorizationToken":
		return resource.NewPropertyMapFromMap(map[string]any{"userName": "AWS", "password": registryPassword}), nil
	}
	return nil, nil
}

// run runs the program to its end with the given settings, and gives back its outputs as far as they are known.
func (r *recorder) run(t *testing.T, settings map[string]string) (map[string]any, error) {
	t.Helper()
	inRepository(t)
	configure(t, settings)

	outputs := map[string]any{}
	err := pulumi.RunErr(func(ctx *pulumi.Context) error {
		declared, err := declare(ctx)
		if err != nil {
			return err
		}
		for name, value := range declared {
			r.mu.Lock()
			outputs[name] = nil
			if text, constant := value.(pulumi.String); constant {
				outputs[name] = string(text)
			}
			r.mu.Unlock()
			// The output itself, for which the program waits at its end, as it would not for a copy by ToOutput.
			if out, ok := value.(pulumi.Output); ok {
				out.ApplyT(func(known any) any {
					r.mu.Lock()
					defer r.mu.Unlock()
					outputs[name] = known
					return known
				})
			}
		}
		return nil
	}, pulumi.WithMocks(testProject, cmp.Or(r.stack, testStack), r), func(info *pulumi.RunInfo) { info.DryRun = r.preview })
	slices.SortFunc(r.resources, func(a, b registration) int {
		return strings.Compare(a.typ+a.name, b.typ+b.name)
	})
	return outputs, err
}

// up runs the program and fails the test when it fails.
func up(t *testing.T, settings map[string]string) *recorder {
	t.Helper()
	r := &recorder{}
	_, err := r.run(t, settings)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// only is the one resource of a type.
func (r *recorder) only(t *testing.T, typ string) registration {
	t.Helper()
	found := r.all(typ)
	if len(found) != 1 {
		t.Fatalf("%d resources of type %s, want 1", len(found), typ)
	}
	return found[0]
}

func (r *recorder) all(typ string) []registration {
	var found []registration
	for _, registered := range r.resources {
		if registered.typ == typ {
			found = append(found, registered)
		}
	}
	return found
}

func (r registration) values() map[string]any { return r.inputs.Mappable() }

// configure hands settings over as the Pulumi CLI does.
func configure(t *testing.T, settings map[string]string) {
	t.Helper()
	written, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(pulumi.EnvConfig, string(written))
}

// inRepository runs the test where the program runs: in a directory of a repository that an image can be built from.
func inRepository(t *testing.T) {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		"Dockerfile":      "FROM scratch\n",
		".dockerignore":   "*\n!service\n",
		"service/main.go": "package main\n",
		"infra/main.go":   "package main\n",
	} {
		path := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err != nil {
			t.Fatal(err)
		}
		err = os.WriteFile(path, []byte(content), 0o644)
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(root, "infra"))
}
