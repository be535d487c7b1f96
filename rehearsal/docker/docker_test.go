package docker

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	pulumidocker "github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"example.com/todo/rehearsal/provider"
	"example.com/todo/rehearsal/schema"
	"example.com/todo/rehearsal/schema/schematest"
)

// recipeOf is a Dockerfile whose image is made with some more instructions.
func recipeOf(more string) string {
	return "FROM golang AS build\nARG VERSION\nRUN sh build.sh /todo\n\nFROM scratch\nCOPY --from=build /todo /todo\n" + more + "ENTRYPOINT [\"/todo\"]\n"
}

// files are the smallest repository that has an image: names ending in ".sh" are executable.
var files = map[string]string{
	".dockerignore":      "*\n!service\n**/*.md\n",
	"Dockerfile":         recipeOf("USER 65532:65532\n"),
	"README.md":          "for people",
	"infra/main.go":      "package main",
	"service/build.sh":   "set -eu\ncd \"$(dirname \"$0\")\"\nGOWORK=off CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags \"-s -w -buildid= -X main.version=${VERSION:-}\" -o \"$1\" .\n",
	"service/go.mod":     "module example.com/tiny\n\ngo 1.26\n",
	"service/main.go":    "package main\n\nvar version string\n\nfunc main() { println(greeting, version) }\n",
	"service/words.go":   "package main\n\nconst greeting = \"hello\"\n",
	"service/service.md": "for people",
}

// repository writes the files, with changes; an empty text takes a file away.
func repository(t *testing.T, changes map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	all := maps.Clone(files)
	maps.Copy(all, changes)
	for name, text := range all {
		if text == "" {
			continue
		}
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, ".sh") {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// check does to an image of the repository what the engine's preview does; changes are for the image's properties.
func check(root string, changes map[string]any) (resource.PropertyMap, []schema.Failure) {
	d := &Docker{Program: filepath.Join(root, "infra")}
	inputs := map[string]any{
		"imageName": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/todo:v1",
		"build":     map[string]any{"context": "..", "dockerfile": "../Dockerfile", "platform": "linux/amd64", "args": map[string]any{"VERSION": "1"}},
		"registry":  map[string]any{"server": "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com", "username": "AWS", "password": "first"},
	}
	for path, value := range changes {
		outer, inner, nested := strings.Cut(path, ".")
		if nested {
			inputs[outer].(map[string]any)[inner] = value
		} else {
			inputs[outer] = value
		}
	}
	t, _ := d.Type(tokenImage)
	checked, failures := t.Check(schema.CheckRequest{LogicalName: "image", News: resource.NewPropertyMapFromMap(inputs)})
	if len(failures) == 0 {
		failures = d.Complete(tokenImage, checked)
	}
	return checked, failures
}

func mustCheck(t *testing.T, root string, changes map[string]any) resource.PropertyMap {
	t.Helper()
	inputs, failures := check(root, changes)
	if len(failures) > 0 {
		t.Fatal(failures)
	}
	return inputs
}

func contextDigest(t *testing.T, root string) string {
	t.Helper()
	return mustCheck(t, root, nil)["build"].ObjectValue()["contextDigest"].StringValue()
}

// DOC-1
func TestContextDigest(t *testing.T) {
	before := contextDigest(t, repository(t, nil))
	if again := contextDigest(t, repository(t, nil)); again != before {
		t.Errorf("the same files gave %s and %s", before, again)
	}
	for name, row := range map[string]struct {
		changes map[string]string
		changed bool
	}{
		"a changed file":                 {map[string]string{"service/words.go": "package main\n\nconst greeting = \"bye\"\n"}, true},
		"a renamed file":                 {map[string]string{"service/words.go": "", "service/texts.go": files["service/words.go"]}, true},
		"a new file":                     {map[string]string{"service/deep/new.txt": "new"}, true},
		"a removed file":                 {map[string]string{"service/words.go": ""}, true},
		"text moved between files":       {map[string]string{"service/go.mod": files["service/go.mod"] + "\n", "service/main.go": files["service/main.go"][1:]}, true},
		"the Dockerfile":                 {map[string]string{"Dockerfile": "FROM scratch\n"}, true},
		"an ignored file":                {map[string]string{"README.md": "for others"}, false},
		"an ignored folder":              {map[string]string{"infra/main.go": "package other"}, false},
		"an ignored file of the service": {map[string]string{"service/service.md": ""}, false},
		"a pattern that lets more in":    {map[string]string{".dockerignore": "*\n!service\n"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if after := contextDigest(t, repository(t, row.changes)); (after != before) != row.changed {
				t.Errorf("the digest changed from %s to %s, want changed: %v", before, after, row.changed)
			}
		})
	}
	t.Run("the executable mode", func(t *testing.T) {
		root := repository(t, nil)
		if err := os.Chmod(filepath.Join(root, "service/build.sh"), 0o644); err != nil {
			t.Fatal(err)
		}
		if after := contextDigest(t, root); after == before {
			t.Error("the digest is the same")
		}
	})
	t.Run("a symbolic link", func(t *testing.T) {
		root := repository(t, nil)
		if err := os.Symlink("words.go", filepath.Join(root, "service/link")); err != nil {
			t.Fatal(err)
		}
		if after := contextDigest(t, root); after == before {
			t.Error("the digest is the same")
		}
	})
}

// A file's text must not pass for the end of that file and another one. DOC-1
func TestContextDigestTellsFilesApart(t *testing.T) {
	one := repository(t, map[string]string{"service/z1": "1service/z2\x00644\x002"})
	two := repository(t, map[string]string{"service/z1": "1", "service/z2": "2"})
	if contextDigest(t, one) == contextDigest(t, two) {
		t.Error("different contexts have one digest")
	}
}

// https://github.com/moby/buildkit looks into an ignored folder when a pattern may bring back what is in it. DOC-1
func TestPatternsBringBackWhatIsBelowIgnoredFolders(t *testing.T) {
	for _, pattern := range []string{"!*/keep.txt", "!**/keep.txt", "!docs/keep.txt", "!docs/k*", "!do?s/keep.txt"} {
		ignore := map[string]string{".dockerignore": "*\n!service\n" + pattern + "\n", "docs/keep.txt": "one"}
		before := contextDigest(t, repository(t, ignore))
		ignore["docs/keep.txt"] = "two"
		if contextDigest(t, repository(t, ignore)) == before {
			t.Errorf("%s does not bring docs/keep.txt back", pattern)
		}
	}
}

// DOC-2
func TestMissingDockerfileIsRefused(t *testing.T) {
	root := repository(t, nil)
	for dockerfile, want := range map[string]string{"../Other": "../Other", "": "../Dockerfile"} {
		if dockerfile == "" {
			if err := os.Remove(filepath.Join(root, "Dockerfile")); err != nil {
				t.Fatal(err)
			}
		}
		changes := map[string]any{"build.dockerfile": dockerfile}
		if dockerfile == "" {
			changes["build.dockerfile"] = nil
		}
		_, failures := check(root, changes)
		if len(failures) != 1 || failures[0].Property != "build.dockerfile" || !strings.Contains(failures[0].Reason, fmt.Sprintf("%q", want)) {
			t.Errorf("got %v, want %s refused", failures, want)
		}
	}
}

// DOC-4
func TestImagesThatCannotBePushedAreRefused(t *testing.T) {
	root := repository(t, nil)
	for _, name := range []string{"skipPush", "buildOnPreview"} {
		if _, failures := check(root, map[string]any{name: true}); len(failures) != 1 || failures[0].Property != name {
			t.Errorf("got %v, want %s refused", failures, name)
		}
	}
	d := &Docker{Program: filepath.Join(root, "infra"), Registry: http.DefaultTransport, Build: Build(t.TempDir())}
	for _, name := range []string{"todo", "todo:v1", "library/todo:v1", "registry.example.com/todo", "registry.example.com/todo:", "registry.example.com/todo@sha256:0"} {
		_, _, err := d.Create(t.Context(), provider.Session{}, "", mustCheck(t, root, map[string]any{"imageName": name}))
		if err == nil || !strings.Contains(err.Error(), "fully qualified") {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
}

// DOC-5
func TestWhatChangesAnImage(t *testing.T) {
	root := repository(t, nil)
	d := &Docker{}
	image, _ := d.Type(tokenImage)
	before := mustCheck(t, root, nil)
	for path, row := range map[string]struct {
		value   any
		changes bool
	}{
		"registry.password": {"second", false},
		"registry.server":   {"https://other.example.com", true},
		"build.args":        {map[string]any{"VERSION": "2"}, true},
		"build.platform":    {"linux/arm64", true},
		"imageName":         {"123456789012.dkr.ecr.eu-west-1.amazonaws.com/todo:v2", true},
	} {
		change := image.Diff(before, mustCheck(t, root, map[string]any{path: row.value}))
		if (len(change.Properties) > 0) != row.changes || len(change.Replaces) > 0 {
			t.Errorf("%s: changes %v, replaces %v; want a change: %v", path, change.Properties, change.Replaces, row.changes)
		}
	}
}

// DOC-6
func TestPropertiesAreTheSDKs(t *testing.T) {
	inputs := maps.Clone(image.Inputs)
	build := inputs["build"]
	build.Fields = maps.Clone(build.Fields)
	// The provider adds it, a program cannot set it.
	delete(build.Fields, "contextDigest")
	inputs["build"] = build
	schematest.Compare(t, tokenImage, inputs, pulumidocker.ImageArgs{}.ElementType(), true)
	schematest.Compare(t, tokenImage, image.Outputs, reflect.TypeFor[pulumidocker.Image](), false)
}
