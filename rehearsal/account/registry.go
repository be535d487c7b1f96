package account

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// passwordLife is how long a registry's password is good for, in AWS's time.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html
const passwordLife = 12 * time.Hour

// An Image is what a repository holds under a digest.
type Image struct {
	Digest string
	Tags   []string
	// Size is in bytes, as the registry stores it.
	Size     int64
	PushedAt time.Time
	// Scan is what the scan of the pushed image found; empty when there was none.
	Scan string
}

// A repository is what a registry keeps for one of its repositories.
type repository struct {
	http.Handler // the registry protocol, without ECR's rules
	of           *Resource
	images       map[string]Image
	tags         map[string]string // to digests
}

func newRepository(of *Resource) *repository {
	return &repository{
		Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0))), of: of,
		images: map[string]Image{}, tags: map[string]string{},
	}
}

// A password is one for all of the account's registries.
type password struct {
	roleARN string // whose it is; empty for who deploys
	until   time.Time
}

// authorizationToken gives who deploys a password. (ECR-4)
func (a *Account) authorizationToken() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.newPassword("")
}

func (a *Account) newPassword(roleARN string) string {
	text := rand.Text()
	a.passwords[text] = password{roleARN, a.Clock.Now().Add(passwordLife)}
	return text
}

// RegistryPassword gives a role a password for a region's registry, if the role may have one. (ECR-6)
func (a *Account) RegistryPassword(roleARN, region string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.authorize(Caller{RoleARN: roleARN, Region: region}, "ecr:GetAuthorizationToken", "*"); err != nil {
		return "", err
	}
	return a.newPassword(roleARN), nil
}

// Images are what a repository holds, the oldest first.
func (a *Account) Images(repositoryURL string) []Image {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.repositories[repositoryURL]
	if r == nil {
		return nil
	}
	return slices.SortedStableFunc(maps.Values(r.images), func(x, y Image) int { return x.PushedAt.Compare(y.PushedAt) })
}

// Expiring are the digests of a repository's images that its lifecycle policy lets expire by now. They are still there: ECR
// takes up to a day. (ECR-7)
func (a *Account) Expiring(repositoryURL string) ([]string, error) {
	images := a.Images(repositoryURL)
	a.mu.Lock()
	defer a.mu.Unlock()
	repository := a.find(tokenRepository+"#repositoryUrl", repositoryURL)
	if repository == nil {
		return nil, fmt.Errorf("there is no repository %s", repositoryURL)
	}
	attached := a.find(tokenLifecyclePolicy, repository.ID)
	if attached == nil {
		return nil, nil
	}
	policy, err := parseLifecycle(attached.str("policy"))
	if err != nil {
		return nil, err
	}
	return policy.expiring(images, a.Clock.Now()), nil
}

// A refusedRequest is the registry's refusal, with a code of the protocol's.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
type refusedRequest struct {
	status        int
	code, message string
}

// Registry answers the registry protocol for all repositories, under the names of RegistryHost. (ECR-4, ECR-5, ECR-6)
func (a *Account) Registry() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<30)
		if refused := a.serveRegistry(w, r); refused != nil {
			w.Header().Set("Content-Type", "application/json")
			if refused.status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Basic realm="https://`+r.Host+`/",service="ecr.amazonaws.com"`)
			}
			w.WriteHeader(refused.status)
			// A client that is gone is no error of ours.
			_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": refused.code, "message": refused.message}}})
		}
	})
}

func (a *Account) serveRegistry(w http.ResponseWriter, r *http.Request) *refusedRequest {
	name, kind, reference := parseRegistryPath(r.URL.Path)
	found, refused := a.admit(r, name, kind)
	switch {
	case refused != nil:
		return refused
	case name == "":
		w.WriteHeader(http.StatusOK) // whoever asks for the API's version is logged in
		return nil
	case r.Method == http.MethodPut && kind == "manifests":
		return a.putImage(w, r, found, reference)
	default:
		found.ServeHTTP(w, r)
		return nil
	}
}

// admit decides whether a request may be answered, and by which repository.
func (a *Account) admit(r *http.Request, name, kind string) (*repository, *refusedRequest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	username, text, _ := r.BasicAuth()
	by, known := a.passwords[text]
	switch {
	case !known || username != "AWS":
		return nil, &refusedRequest{http.StatusUnauthorized, "UNAUTHORIZED", "no basic auth credentials"}
	case a.Clock.Now().After(by.until):
		return nil, &refusedRequest{http.StatusForbidden, "DENIED", "Your authorization token has expired. Reauthenticate and try again."}
	case name == "":
		return nil, nil
	}
	host, _, _ := strings.Cut(r.Host, ":")
	found := a.find(tokenRepository+"#repositoryUrl", host+"/"+name)
	if found == nil {
		return nil, &refusedRequest{http.StatusNotFound, "NAME_UNKNOWN", fmt.Sprintf("The repository with name '%s' does not exist in the registry with id '%s'", name, ID)}
	}
	if by.roleARN != "" {
		if err := a.authorize(Caller{RoleARN: by.roleARN, Region: found.Region}, registryAction(r.Method, kind), found.str("arn")); err != nil {
			return nil, &refusedRequest{http.StatusForbidden, "DENIED", err.Error()}
		}
	}
	return a.repositories[found.str("repositoryUrl")], nil
}

// parseRegistryPath takes /v2/NAME/manifests/REFERENCE apart, and /v2/NAME/blobs/… likewise; a name may have slashes.
func parseRegistryPath(path string) (name, kind, reference string) {
	rest := strings.TrimPrefix(path, "/v2/")
	for _, kind := range []string{"manifests", "blobs", "tags"} {
		if name, reference, found := strings.Cut(rest, "/"+kind+"/"); found {
			return name, kind, reference
		}
	}
	return "", "", ""
}

// registryAction is what a role must be allowed to do.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
func registryAction(method, kind string) string {
	reads := method == http.MethodGet || method == http.MethodHead
	switch {
	case kind == "tags":
		return "ecr:ListImages"
	case kind == "manifests" && reads:
		return "ecr:BatchGetImage"
	case kind == "manifests":
		return "ecr:PutImage"
	case reads:
		return "ecr:GetDownloadUrlForLayer"
	default:
		return "ecr:UploadLayerPart"
	}
}

// putImage takes a manifest in, and with it an image.
func (a *Account) putImage(w http.ResponseWriter, r *http.Request, into *repository, reference string) *refusedRequest {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return &refusedRequest{http.StatusBadRequest, "MANIFEST_INVALID", err.Error()}
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(body))
	if err != nil || manifest.Config.Digest == (v1.Hash{}) {
		return &refusedRequest{http.StatusBadRequest, "MANIFEST_INVALID", "the rehearsal takes single images only, no index of several"}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	tag := reference
	if strings.HasPrefix(reference, "sha256:") {
		tag = ""
	}
	if _, taken := into.tags[tag]; taken && into.of.str("imageTagMutability") == "IMMUTABLE" {
		return &refusedRequest{http.StatusBadRequest, "TAG_INVALID", fmt.Sprintf("The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the repository is immutable.", tag, into.of.ID)}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	into.ServeHTTP(w, r)
	image := Image{Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(body)), Size: manifest.Config.Size, PushedAt: a.Clock.Now()}
	for _, layer := range manifest.Layers {
		image.Size += layer.Size
	}
	if into.of.flag("imageScanningConfiguration", "scanOnPush") {
		image.Scan = unsupportedImage // ECR-8
	}
	into.add(image, tag)
	return nil
}

// unsupportedImage is what a scan says of an image without an operating system.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-troubleshooting.html
const unsupportedImage = "FAILED: UnsupportedImageError: The operating system and/or package manager are not supported."

// add keeps an image under its digest. One that is there already keeps its time; a tag that another one has moves.
func (s *repository) add(image Image, tag string) {
	if before, again := s.images[image.Digest]; again {
		image.Tags, image.PushedAt = before.Tags, before.PushedAt
	}
	if tag != "" {
		if before, moved := s.images[s.tags[tag]]; moved {
			before.Tags = slices.DeleteFunc(slices.Clone(before.Tags), func(t string) bool { return t == tag })
			s.images[before.Digest] = before
		}
		s.tags[tag] = image.Digest
		image.Tags = append(slices.DeleteFunc(slices.Clone(image.Tags), func(t string) bool { return t == tag }), tag)
	}
	s.images[image.Digest] = image
}
