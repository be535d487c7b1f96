package account_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// registry leads to the account's registries.
func (c *cloud) registry() http.RoundTripper {
	c.Helper()
	server := httptest.NewTLSServer(c.account.Registry())
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.InsecureSkipVerify = true // the registry is asked under a name that the test server has no certificate for
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}
	c.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	return transport
}

func (c *cloud) image() v1.Image {
	c.Helper()
	image, err := random.Image(512, 1)
	if err != nil {
		c.Fatal(err)
	}
	return image
}

// tryPush pushes an image as docker does, to a tag of the world's repository unless it is a whole name.
func (w *world) tryPush(registry http.RoundTripper, tag, password string, image v1.Image) error {
	w.Helper()
	if !strings.Contains(tag, "/") {
		tag = w.repositoryURL() + ":" + tag
	}
	reference, err := name.NewTag(tag)
	if err != nil {
		w.Fatal(err)
	}
	return remote.Write(reference, image, remote.WithTransport(registry), remote.WithAuth(&authn.Basic{Username: "AWS", Password: password}))
}

// push pushes some image with a fresh password, and answers its reference.
func (w *world) push(tag string) string {
	w.Helper()
	image := w.image()
	if err := w.tryPush(w.registry(), tag, w.token(), image); err != nil {
		w.Fatal(err)
	}
	return w.repositoryURL() + "@" + digestOf(w, image)
}

func digestOf(w *world, image v1.Image) string {
	w.Helper()
	digest, err := image.Digest()
	if err != nil {
		w.Fatal(err)
	}
	return digest.String()
}

// ECR-4, ECR-5
func TestPush(t *testing.T) {
	w := newCloud(t).world()
	registry := w.registry()
	for _, row := range []struct{ tag, password, text string }{
		{"v2", "guess", "401 Unauthorized"},
		{w.repositoryURL() + "x:v2", w.token(), "NAME_UNKNOWN: The repository with name '" + w.made["repository"].id + "x' does not exist"},
		{strings.Replace(w.repositoryURL(), "eu-west-1", "eu-west-2", 1) + ":v2", w.token(), "NAME_UNKNOWN"},
		{"v1", w.token(), "TAG_INVALID: The image tag 'v1' already exists in the '" + w.made["repository"].id + "' repository and cannot be overwritten because the repository is immutable."},
	} {
		if err := w.tryPush(registry, row.tag, row.password, w.image()); err == nil || !strings.Contains(err.Error(), row.text) {
			t.Errorf("push %s: got %v, want %q", row.tag, err, row.text)
		}
	}
	old := w.token()
	w.account.Clock.Skip(12*time.Hour + time.Second)
	if err := w.tryPush(registry, "v2", old, w.image()); err == nil || !strings.Contains(err.Error(), "403 Forbidden") {
		t.Errorf("with a password of yesterday: %v", err)
	}

	image := w.image()
	if err := w.tryPush(registry, "v2", w.token(), image); err != nil {
		t.Fatal(err)
	}
	pushed := w.account.Images(w.repositoryURL())
	size := int64(0)
	for _, part := range []func() (int64, error){func() (int64, error) { b, err := image.RawConfigFile(); return int64(len(b)), err }, func() (int64, error) {
		layers, err := image.Layers()
		if err != nil {
			return 0, err
		}
		return layers[0].Size()
	}} {
		n, err := part()
		if err != nil {
			t.Fatal(err)
		}
		size += n
	}
	if len(pushed) != 2 || pushed[1].Digest != digestOf(w, image) || !slices.Equal(pushed[1].Tags, []string{"v2"}) || pushed[1].Size != size || !pushed[1].PushedAt.After(pushed[0].PushedAt) {
		t.Errorf("the repository holds %+v, want the image %s of %d bytes last", pushed, digestOf(w, image), size)
	}
}

// ECR-5
func TestTagsMoveWhereTheyMay(t *testing.T) {
	w := newCloud(t).world()
	registry, first, second := w.registry(), w.image(), w.image()
	w.mustUpdate("repository", props{"imageTagMutability": "MUTABLE"})
	for _, image := range []v1.Image{first, second, second} {
		if err := w.tryPush(registry, "latest", w.token(), image); err != nil {
			t.Fatal(err)
		}
	}
	tags := map[string][]string{}
	for _, image := range w.account.Images(w.repositoryURL()) {
		tags[image.Digest] = image.Tags
	}
	if len(tags) != 3 || len(tags[digestOf(w, first)]) != 0 || !slices.Equal(tags[digestOf(w, second)], []string{"latest"}) {
		t.Errorf("the tags are %v, want only %s to be the latest", tags, digestOf(w, second))
	}
}

// ECR-2
func TestADeletedRepositoryForgetsItsImages(t *testing.T) {
	w := newCloud(t).world()
	w.mustUpdate("repository", props{"forceDelete": true})
	w.mustRemove("lifecycle", "repository")
	if images := w.account.Images(w.repositoryURL()); len(images) != 0 {
		t.Errorf("a repository that is gone holds %v", images)
	}
	name := w.made["repository"].id
	w.made["repository"] = w.make(w.made["repository"].token, "again", w.props["repository"].with(props{"name": name}))
	if err := w.tryPush(w.registry(), "v1", w.token(), w.image()); err != nil {
		t.Errorf("a repository of the same name is not empty: %v", err)
	}
}

// ECR-6
func TestPulling(t *testing.T) {
	w := newCloud(t).world()
	registry, reference := w.registry(), w.push("v2")
	pull := func(roleARN, reference string) error {
		password, err := w.account.RegistryPassword(roleARN, "eu-west-1")
		if err != nil {
			return err
		}
		parsed, err := name.ParseReference(reference)
		if err != nil {
			return err
		}
		image, err := remote.Image(parsed, remote.WithTransport(registry), remote.WithAuth(&authn.Basic{Username: "AWS", Password: password}))
		if err != nil {
			return err
		}
		layers, err := image.Layers()
		if err != nil {
			return err
		}
		content, err := layers[0].Compressed()
		if err != nil {
			return err
		}
		return content.Close()
	}
	access, own := w.made["access"].state["arn"].(string), w.made["own"].state["arn"].(string)
	if err := pull(access, reference); err != nil {
		t.Error(err)
	}
	if err := pull(access, w.repositoryURL()+"@sha256:"+strings.Repeat("b", 64)); err == nil || !strings.Contains(err.Error(), "MANIFEST_UNKNOWN") {
		t.Errorf("an image that is not there: %v", err)
	}
	if err := pull(own, reference); err == nil || !strings.Contains(err.Error(), "is not authorized to perform: ecr:GetAuthorizationToken") {
		t.Errorf("in another role: %v", err)
	}
	for _, row := range []struct{ actions, refused string }{
		{`["ecr:GetAuthorizationToken"]`, "ecr:BatchGetImage"}, {`["ecr:GetAuthorizationToken","ecr:BatchGetImage"]`, "ecr:GetDownloadUrlForLayer"},
	} {
		w.mustUpdate("accessPolicy", props{"policy": allow(row.actions, "*")})
		if err := pull(access, reference); err == nil || !strings.Contains(err.Error(), "is not authorized to perform: "+row.refused+" on resource: arn:aws:ecr:eu-west-1:123456789012:repository/") {
			t.Errorf("with %s alone: %v, want %s refused", row.actions, err, row.refused)
		}
	}
	w.mustUpdate("accessPolicy", props{})
	password, err := w.account.RegistryPassword(access, "eu-west-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.tryPush(registry, "v3", password, w.image()); err == nil || !strings.Contains(err.Error(), "is not authorized to perform: ecr:") {
		t.Errorf("who may pull may push: %v", err)
	}
}

// ECR-7
func TestWhatALifecyclePolicyLetsExpire(t *testing.T) {
	w := newCloud(t).world()
	w.mustUpdate("repository", props{"imageTagMutability": "MUTABLE"})
	names := map[string]string{w.account.Images(w.repositoryURL())[0].Digest: "first"}
	for _, tag := range []string{"release-1", "build-1", "release-2", "build-2", "release-3"} {
		w.account.Clock.Skip(24 * time.Hour)
		reference := w.push(tag)
		names[reference[strings.Index(reference, "@")+1:]] = tag
	}
	// Its image loses the tag, and is the fifth.
	reference := w.push("build-2")
	names[reference[strings.Index(reference, "@")+1:]] = "build-2 again"
	rule := func(priority, selection string) string {
		return `{"rulePriority":` + priority + `,"description":"a rule of some length, since a policy has a hundred characters","selection":{` + selection + `},"action":{"type":"expire"}}`
	}
	for _, row := range []struct {
		name  string
		rules []string
		want  []string
	}{
		{"all but the newest two", []string{rule("1", `"tagStatus":"any","countType":"imageCountMoreThan","countNumber":2`)}, []string{"build-2", "release-2", "build-1", "release-1", "first"}},
		{"enough room", []string{rule("1", `"tagStatus":"any","countType":"imageCountMoreThan","countNumber":7`)}, nil},
		{"what has no tag", []string{rule("1", `"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1`)}, []string{"build-2"}},
		{"old ones of a kind", []string{rule("1", `"tagStatus":"tagged","tagPrefixList":["release-"],"countType":"sinceImagePushed","countUnit":"days","countNumber":3`)}, []string{"release-1"}},
		{"by a pattern", []string{rule("1", `"tagStatus":"tagged","tagPatternList":["*-1"],"countType":"imageCountMoreThan","countNumber":1`)}, []string{"release-1"}},
		{"what another rule keeps", []string{
			rule("2", `"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1`), rule("1", `"tagStatus":"tagged","tagPrefixList":["release-"],"countType":"imageCountMoreThan","countNumber":2`),
		}, []string{"release-1", "build-2", "build-1", "first"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.again("lifecycle", props{"policy": `{"rules":[` + strings.Join(row.rules, ",") + `]}`})
			w.account.Clock.Skip(2 * time.Hour)
			expiring, err := w.account.Expiring(w.repositoryURL())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, digest := range expiring {
				got = append(got, names[digest])
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("%v expire, want %v", got, row.want)
			}
		})
	}
	w.mustRemove("lifecycle")
	if expiring, err := w.account.Expiring(w.repositoryURL()); len(expiring) != 0 || err != nil {
		t.Errorf("without a policy %v expire, %v", expiring, err)
	}
}

// ECR-8
func TestScans(t *testing.T) {
	w := newCloud(t).world()
	for _, scans := range []bool{false, true} {
		w.mustUpdate("repository", props{"imageScanningConfiguration": props{"scanOnPush": scans}})
		w.push("scanned" + map[bool]string{true: "-too"}[scans])
		images := w.account.Images(w.repositoryURL())
		if scan := images[len(images)-1].Scan; strings.Contains(scan, "UnsupportedImageError") != scans {
			t.Errorf("with scans %v the scan says %q", scans, scan)
		}
	}
}
