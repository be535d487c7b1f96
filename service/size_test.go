package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

const (
	// maxImage is what a registry may store of the image, in bytes.
	maxImage = 5_420_000
	// authorities is what the image holds beside the binary, the root certificates of the
	// builder's image, compressed.
	authorities = 130_000
)

func TestTheImageIsSmall(t *testing.T) {
	t.Parallel()
	output := filepath.Join(t.TempDir(), "todo")
	cmd := exec.Command("sh", "build.sh", output)
	cmd.Env = append(os.Environ(), "VERSION="+testVersion, "COMMIT="+testCommit, "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	binary, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer // as docker push makes it
	zw := gzip.NewWriter(&layer)
	if _, err := zw.Write(binary); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	size := layer.Len() + authorities
	t.Logf("the image is %.2f MB compressed", float64(size)/1e6)
	if size > maxImage {
		t.Errorf("the image is %d bytes compressed, more than %d", size, maxImage)
	}
}

// The linker leaves out the methods that nothing calls, unless some function looks up
// methods by a name that it computes: then all methods of all types are linked, 1.7 MB
// more of the compressed image. GORM is such a function from 1.30.2 on:
// https://github.com/go-gorm/gorm/issues/7622
func TestUnusedMethodsAreNotLinked(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-dumpdep", "-o", filepath.Join(t.TempDir(), "todo"), ".")
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	var dependencies bytes.Buffer
	cmd.Stderr = &dependencies
	if err := cmd.Run(); err != nil {
		t.Fatalf("build: %v", err)
	}
	if !bytes.Contains(dependencies.Bytes(), []byte("main.main -> ")) {
		t.Fatal("the linker told no dependencies")
	}
	for _, found := range regexp.MustCompile(`(?m)^(.+) -> (.+) <ReflectMethod>$`).FindAllSubmatch(dependencies.Bytes(), -1) {
		t.Errorf("%s, called by %s, looks up methods by computed names", found[2], found[1])
	}
}
