package imagetest

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// standIn is the name of the image that takes the place of the official Go image
// where that cannot be pulled.
const standIn = "todo-go-stand-in"

// baseImage gives the build arguments that choose the builder's image: none where
// Go's own can be pulled, else those of a stand-in made of this machine's Go.
func baseImage(t *testing.T, e engine, official string) []string {
	t.Helper()
	if e.command(t.Context(), "image", "inspect", official).Run() == nil {
		return nil
	}
	out, err := e.command(t.Context(), "pull", official).CombinedOutput()
	if err == nil {
		return nil
	}
	t.Logf("%s cannot be pulled (%s); using a stand-in made of this machine's Go", official, lastLine(out))
	importStandIn(t, e)
	t.Cleanup(func() { e.remove(t, "image", "rm", "--force", standIn) })
	return []string{"--build-arg", "GO_IMAGE=" + standIn}
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// importStandIn makes an image of the toolchain, a shell, the root certificates and
// the modules that the service needs, so that building needs no network.
func importStandIn(t *testing.T, e engine) {
	t.Helper()
	modules := modulesOfTheService(t)
	r, w := io.Pipe()
	go func() {
		tw := tar.NewWriter(w)
		err := addTree(tw, goEnv(t, "GOROOT"), "usr/local/go", "test", "doc", "api", "misc")
		err = errors.Join(err, addTree(tw, modules, "modules"))
		err = errors.Join(err, addFile(tw, "/etc/ssl/certs/ca-certificates.crt", "etc/ssl/certs/ca-certificates.crt"))
		err = errors.Join(err, addPrograms(tw, "sh", "dirname"))
		err = errors.Join(err, tw.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}), tw.Close())
		w.CloseWithError(err)
	}()
	cmd := e.command(t.Context(), "import",
		"--change", "ENV PATH=/usr/local/go/bin:/bin HOME=/root GOPATH=/go GOTOOLCHAIN=local GOPROXY=file:///modules GOSUMDB=off",
		"-", standIn)
	cmd.Stdin = r
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("import the stand-in: %v\n%s", err, out)
	}
	r.Close()
}

// modulesOfTheService builds it with an empty module cache, filled from this
// machine's: what is then in it is what is needed.
func modulesOfTheService(t *testing.T) string {
	t.Helper()
	cache := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "../build.sh", filepath.Join(t.TempDir(), "todo"))
	cmd.Env = append(os.Environ(), "GOMODCACHE="+cache, "GOFLAGS=-modcacherw",
		"GOPROXY=file://"+filepath.ToSlash(filepath.Join(goEnv(t, "GOMODCACHE"), "cache", "download"))+","+goEnv(t, "GOPROXY"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("collect the modules: %v\n%s", err, out)
	}
	return filepath.Join(cache, "cache", "download")
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatalf("go env %s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}

// addTree adds a folder's regular files, without the named folders at its top.
func addTree(tw *tar.Writer, dir, as string, without ...string) error {
	return filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		for _, w := range without {
			if d.IsDir() && name == w {
				return fs.SkipDir
			}
		}
		if d.IsDir() {
			return nil
		}
		return addFile(tw, file, path.Join(as, filepath.ToSlash(name)))
	})
}

func addFile(tw *tar.Writer, file, as string) error {
	f, err := os.Open(file) // through symbolic links
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := tw.WriteHeader(&tar.Header{Name: as, Mode: int64(info.Mode().Perm()), Size: info.Size(), ModTime: info.ModTime()}); err != nil {
		return err
	}
	_, err = io.Copy(tw, f)
	return err
}

var libraryPath = regexp.MustCompile(`/\S+`)

// addPrograms adds programs of this machine and the libraries they are linked with.
func addPrograms(tw *tar.Writer, names ...string) error {
	files := map[string]string{} // where each goes, and where it is from
	for _, name := range names {
		program, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		files["bin/"+name] = program
		out, err := exec.Command("ldd", program).Output()
		if err != nil {
			return fmt.Errorf("ldd %s: %w", program, err)
		}
		for _, library := range libraryPath.FindAllString(string(out), -1) {
			files[strings.TrimPrefix(library, "/")] = library
		}
	}
	for as, file := range files {
		if err := addFile(tw, file, as); err != nil {
			return err
		}
	}
	return nil
}
