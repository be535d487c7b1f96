// Package imagetest proves the image: built by Docker from the repository's
// Dockerfile, run as App Runner would, against a real PostgreSQL.
package imagetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/todo/service/postgres/postgrestest"
)

const (
	root    = "../.." // of the repository, which is the build's context
	version = "1.2.3-image"
	tasks   = "/api/v1/tasks"
	// patience bounds the wait for the container's first answer.
	patience = 30 * time.Second
)

// image is unique, because the engine may be shared with another run of this test.
var image = "todo-imagetest-" + strings.ToLower(rand.Text())

func TestImage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds an image")
	}
	e := anEngine(t)
	args := []string{
		"build", "--network=host", "--tag", image, "--build-arg", "VERSION=" + version, "--build-arg", "COMMIT=c0ffee",
	}
	args = append(args, baseImage(t, e, officialGo(t))...)
	e.docker(t, append(args, root)...)
	t.Cleanup(func() { e.remove(t, "image", "rm", "--force", image) })
	files, size := layers(t, e)
	t.Logf("the image is %.2f MB compressed", float64(size)/1e6)
	if want := []string{"etc/ssl/certs/ca-certificates.crt", "todo"}; !slices.Equal(files, want) {
		t.Errorf("it holds %v, want %v", files, want)
	}

	port := freePort(t)
	network, dsn := "--network=host", postgrestest.Database(t)
	if runtime.GOOS != "linux" { // the engine is in a virtual machine
		network = "--publish=127.0.0.1:" + port + ":" + port
		dsn = strings.Replace(dsn, "@127.0.0.1:", "@host.docker.internal:", 1)
	}
	e.docker(t, "run", "--detach", "--name", image, network, "--read-only", "--cap-drop=ALL",
		"--security-opt=no-new-privileges", "--env", "PORT="+port, "--env", "DATABASE_URL="+dsn, image)
	t.Cleanup(func() {
		if t.Failed() {
			out, err := e.command(context.Background(), "logs", image).CombinedOutput()
			t.Logf("log of the container: %v\n%s", err, out)
		}
		e.remove(t, "rm", "--force", image)
	})
	url := "http://127.0.0.1:" + port
	awaitOK(t, url+"/")

	made := call(t, http.MethodPost, url+tasks, `{"title":"from a container"}`, http.StatusCreated)
	got := call(t, http.MethodGet, url+tasks+"/"+made["id"].(string), "", http.StatusOK)
	if got["title"] != "from a container" {
		t.Errorf("got %v", got)
	}
	if v := call(t, http.MethodGet, url+"/version", "", http.StatusOK); v["version"] != version || v["commit"] != "c0ffee" {
		t.Errorf("/version is %v", v)
	}
	if user := e.docker(t, "inspect", "--format", "{{.Config.User}}", image); user != "65532:65532" {
		t.Errorf("it runs as %s", user)
	}
	e.docker(t, "stop", "--time", "10", image)
	if code := e.docker(t, "inspect", "--format", "{{.State.ExitCode}}", image); code != "0" {
		t.Errorf("it ended with exit code %s", code)
	}
}

// officialGo is the builder's image that the Dockerfile names.
func officialGo(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(root + "/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^ARG GO_IMAGE=(\S+)$`).FindSubmatch(b)
	if found == nil {
		t.Fatal("the Dockerfile has no ARG GO_IMAGE")
	}
	return string(found[1])
}

// layers gives the files of the image and what a registry would store, in bytes.
func layers(t *testing.T, e engine) (files []string, compressed int64) {
	t.Helper()
	saved, err := e.command(t.Context(), "save", image).Output()
	if err != nil {
		t.Fatalf("docker save: %v", err)
	}
	entries := untar(t, saved)
	var manifest []struct{ Layers []string }
	if err := json.Unmarshal(entries["manifest.json"], &manifest); err != nil || len(manifest) != 1 {
		t.Fatalf("docker save's manifest: %v %s", err, entries["manifest.json"])
	}
	for _, name := range manifest[0].Layers {
		var packed bytes.Buffer
		zw := gzip.NewWriter(&packed)
		if _, err := zw.Write(entries[name]); err != nil {
			t.Fatal(err)
		}
		if err := zw.Close(); err != nil {
			t.Fatal(err)
		}
		compressed += int64(packed.Len())
		files = slices.AppendSeq(files, maps.Keys(untar(t, entries[name])))
	}
	slices.Sort(files)
	return files, compressed
}

// untar gives the regular files of an archive.
func untar(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for tr := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatalf("docker save: %v", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			t.Fatalf("docker save: %v", err)
		}
	}
}

func call(t *testing.T, method, url, body string, status int) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != status {
		t.Fatalf("%s %s: %d %v %v", method, url, res.StatusCode, answer, err)
	}
	return answer
}

func awaitOK(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		res, err := http.Get(url)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("GET %s: %v", url, err)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
