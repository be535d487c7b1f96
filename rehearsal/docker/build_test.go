package docker

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"example.com/todo/rehearsal/account"
	"example.com/todo/rehearsal/provider"
	"example.com/todo/rehearsal/schema"
)

// source is what a build of the repository is asked for.
func source(root string) Source {
	return Source{Context: root, Dockerfile: filepath.Join(root, "Dockerfile"), Args: map[string]string{"VERSION": "1.2.3"}, Platform: "linux/amd64"}
}

// A built is an image, taken apart.
type built struct {
	v1.Image
	digest  string
	config  *v1.ConfigFile
	files   map[string]string
	program string // where the image's program is, to be run
}

func mustBuild(t *testing.T, dir string, s Source) built {
	t.Helper()
	image, err := Build(dir)(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	b := built{Image: image, files: map[string]string{}, program: filepath.Join(t.TempDir(), "todo")}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if b.config, err = image.ConfigFile(); err != nil {
		t.Fatal(err)
	}
	b.digest = digest.String()
	unpacked := mutate.Extract(image)
	for entries := tar.NewReader(unpacked); ; {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(entries)
		if err != nil {
			t.Fatal(err)
		}
		b.files[entry.Name] = string(content)
		if entry.Name == "todo" {
			if err := os.WriteFile(b.program, content, entry.FileInfo().Mode().Perm()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := unpacked.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

// DOC-3
func TestBuildUsesOnlyTheContext(t *testing.T) {
	dir := t.TempDir()
	// Nothing of what this process is told may reach the program.
	t.Setenv("VERSION", "of this process")
	t.Setenv("GOFLAGS", "-tags=other")
	root := repository(t, map[string]string{
		"service/other.go": "//go:build other\n\npackage main\n\nfunc init() { version = \"other\" }\n"})
	out, err := exec.Command(mustBuild(t, dir, source(root)).program).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "hello 1.2.3" {
		t.Errorf("the program says %q, %v", out, err)
	}
	s := source(root)
	s.Args = nil
	if out, err = exec.Command(mustBuild(t, dir, s).program).CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "hello" {
		t.Errorf("without a version the program says %q, %v", out, err)
	}

	hidden := repository(t, map[string]string{".dockerignore": files[".dockerignore"] + "service/words.go\n"})
	_, err = Build(dir)(t.Context(), source(hidden))
	if err == nil || !strings.Contains(err.Error(), "undefined: greeting") {
		t.Errorf("without an ignored file the build says %v, want the compiler's words", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "context-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// DOC-3
func TestBuildFollowsLinks(t *testing.T) {
	root := repository(t, map[string]string{"service/words.go": "", "service/words/words.txt": files["service/words.go"]})
	if err := os.Symlink("words/words.txt", filepath.Join(root, "service/words.go")); err != nil {
		t.Fatal(err)
	}
	mustBuild(t, t.TempDir(), source(root))
}

// DOC-3
func TestImageDigest(t *testing.T) {
	dir := t.TempDir()
	first := mustBuild(t, dir, source(repository(t, nil)))
	again := source(repository(t, map[string]string{"README.md": "for others"}))
	if second := mustBuild(t, dir, again); second.digest != first.digest {
		t.Errorf("the same source gave %s and %s", first.digest, second.digest)
	}
	platform, args := again, again
	platform.Platform = "linux/arm64"
	args.Args = map[string]string{"VERSION": "1.2.4"}
	elsewhere := source(repository(t, map[string]string{"other/Dockerfile": recipeOf("USER 1\n")}))
	elsewhere.Dockerfile = filepath.Join(elsewhere.Context, "other/Dockerfile")
	for name, other := range map[string]Source{
		"platform": platform, "version": args, "place of the Dockerfile": elsewhere,
		"source":     source(repository(t, map[string]string{"service/words.go": "package main\n\nconst greeting = \"bye\"\n"})),
		"Dockerfile": source(repository(t, map[string]string{"Dockerfile": recipeOf("EXPOSE 8080\n")})),
	} {
		b := mustBuild(t, dir, other)
		if built := b.config.OS + "/" + b.config.Architecture; b.digest == first.digest || built != other.Platform {
			t.Errorf("another %s gave %s for %s, as before %s", name, b.digest, built, first.digest)
		}
	}
}

// DOC-7
func TestTheImageIsAsTheDockerfileSays(t *testing.T) {
	more := "COPY --from=build /etc/ssl/certs/ca-certificates.crt /certificates/all.crt\nLABEL org.opencontainers.image.version=$VERSION\nLABEL team=\"todo\"\nENV MODE=quiet\n" +
		"USER 65532:65532\nEXPOSE 8080 \\\n  9090/udp\nWORKDIR /data\nCMD [\"serve\"]\n"
	b := mustBuild(t, t.TempDir(), source(repository(t, map[string]string{"Dockerfile": recipeOf(more)})))
	want := v1.Config{
		User: "65532:65532", WorkingDir: "/data", Entrypoint: []string{"/todo"}, Cmd: []string{"serve"},
		Env:          []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "MODE=quiet"},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}, "9090/udp": {}},
		Labels:       map[string]string{"org.opencontainers.image.version": "1.2.3", "team": "todo"},
	}
	if diff := cmp.Diff(want, b.config.Config); diff != "" {
		t.Errorf("the image's configuration (-want +got):\n%s", diff)
	}
	bundle, err := firstOf(systemCertificates)
	if err != nil {
		t.Fatal(err)
	}
	if bundle != nil && b.files["certificates/all.crt"] != string(bundle) {
		t.Errorf("the image has %d bytes of root certificates, this machine %d", len(b.files["certificates/all.crt"]), len(bundle))
	}
	for text, says := range map[string]string{
		"USER root\n":                                  "has no FROM",
		"FROM alpine\nENTRYPOINT [\"/todo\"]\n":        "FROM alpine: the rehearsal builds FROM scratch only",
		recipeOf("HEALTHCHECK NONE\n"):                 "does not know HEALTHCHECK",
		recipeOf("ADD x /x\n"):                         "does not know ADD",
		recipeOf("COPY . /\n"):                         "knows only COPY --from=STAGE FILE FILE",
		recipeOf("COPY --from=build /etc/passwd /p\n"): "copy /etc/passwd into the image",
		recipeOf("LABEL a=1 b=2\n"):                    "only one NAME=VALUE",
		recipeOf("CMD serve\n"):                        "must be a list of strings",
	} {
		_, err := Build(t.TempDir())(t.Context(), source(repository(t, map[string]string{"Dockerfile": text})))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %q", text, err, says)
		}
	}
}

// The repository's own Dockerfile is what all this is for. DOC-7
func TestTheRepositorysDockerfileIsUnderstood(t *testing.T) {
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	r, err := readRecipe(string(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.config.User != "65532:65532" || !slices.Equal(r.config.Entrypoint, []string{"/todo"}) || len(r.config.ExposedPorts) != 1 || r.program != "/todo" {
		t.Errorf("read as %+v", r)
	}
	for _, file := range r.copies {
		if file.from != r.program && file.from != rootCertificates {
			t.Errorf("%s is copied, which the rehearsal does not have", file.from)
		}
	}
}

// DOC-8
func TestPushingIsRefusedInDockersWords(t *testing.T) {
	a := account.New(nil)
	server := httptest.NewTLSServer(a.Registry())
	t.Cleanup(server.Close)
	registry := server.Client().Transport.(*http.Transport).Clone()
	registry.TLSClientConfig.InsecureSkipVerify = true // the registry is asked under a name that the test server has no certificate for
	registry.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}
	t.Cleanup(registry.CloseIdleConnections)
	session := provider.Session{Region: "eu-west-1"}
	token := "aws:ecr/repository:Repository"
	kind, _ := a.Type(token)
	inputs, failures := kind.Check(schema.CheckRequest{LogicalName: "todo", News: resource.NewPropertyMapFromMap(map[string]any{"name": "todo", "imageTagMutability": "IMMUTABLE"})})
	if len(failures) > 0 {
		t.Fatal(failures)
	}
	if _, _, err := a.Create(t.Context(), session, resource.URN("urn:pulumi:test::todo::"+token+"::todo"), inputs); err != nil {
		t.Fatal(err)
	}
	login, _, err := a.Invoke(t.Context(), session, "aws:ecr/getAuthorizationToken:getAuthorizationToken", nil)
	if err != nil {
		t.Fatal(err)
	}
	root := repository(t, nil)
	d := &Docker{Program: filepath.Join(root, "infra"), Registry: registry, Build: Build(t.TempDir())}
	push := func(target, password string) (resource.PropertyMap, error) {
		_, state, err := d.Create(t.Context(), provider.Session{}, "", mustCheck(t, root, map[string]any{"imageName": target, "registry.username": "AWS", "registry.password": password}))
		return state, err
	}
	url, password := account.RegistryHost("eu-west-1")+"/todo", login["password"].StringValue()
	state, err := push(url+":v1", password)
	if err != nil {
		t.Fatal(err)
	}
	images := a.Images(url)
	if len(images) != 1 || state["repoDigest"].StringValue() != url+"@"+images[0].Digest {
		t.Errorf("pushed %v, the repository holds %v", state["repoDigest"], images)
	}
	for _, row := range []struct{ target, password, says string }{
		{url + ":v1", password, "tag invalid: The image tag 'v1' already exists in the 'todo' repository and cannot be overwritten because the repository is immutable."},
		{url + "x:v1", password, "name unknown: The repository with name 'todox' does not exist in the registry with id '123456789012'"},
		{url + ":v2", "guess", "no basic auth credentials"},
	} {
		if _, err := push(row.target, row.password); err == nil || !strings.Contains(err.Error(), "push "+row.target+": "+row.says) {
			t.Errorf("%s: got %v, want %q", row.target, err, row.says)
		}
	}
}
