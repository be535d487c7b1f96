package host

import (
	"archive/tar"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"example.com/todo/rehearsal/account"
)

// A registry serves the account's registries under their own names, on loopback.
type registry struct {
	server    *http.Server
	done      chan error
	transport *http.Transport
}

func startRegistry(a *account.Account, authority *authority) (*registry, error) {
	listener, err := net.Listen("tcp4", loopback+":0")
	if err != nil {
		return nil, fmt.Errorf("listen for the registry: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority.certificate)
	r := &registry{done: make(chan error, 1)}
	r.server = &http.Server{
		Handler: a.Registry(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			certificate, err := authority.issue(hello.ServerName)
			return &certificate, err
		}},
	}
	r.transport = &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if !strings.HasPrefix(address, account.ID+".dkr.ecr.") {
				return nil, fmt.Errorf("%s is none of the simulated account's registries", address)
			}
			return (&net.Dialer{}).DialContext(ctx, network, listener.Addr().String())
		},
	}
	go func() { r.done <- r.server.ServeTLS(listener, "", "") }()
	return r, nil
}

func (r *registry) close() error {
	r.transport.CloseIdleConnections()
	err := r.server.Close()
	if served := <-r.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Registry leads to the account's registries and to nothing else, for who pushes images.
func (h *Host) Registry() http.RoundTripper { return h.registry.transport }

// A command is what an image starts.
type command struct {
	path   string
	args   []string
	digest string
}

// pull copies a service's image from its registry, as App Runner does in the access role, and unpacks it. (ECR-6, AR-13)
func (h *Host) pull(ctx context.Context, spec account.Service) (command, error) {
	password, err := h.Account.RegistryPassword(spec.AccessRoleARN, spec.Region)
	if err != nil {
		return command{}, fmt.Errorf("Failed to copy the image from ECR: %w", err)
	}
	reference, err := name.ParseReference(spec.Image)
	if err != nil {
		return command{}, fmt.Errorf("Failed to copy the image from ECR: %w", err)
	}
	image, err := remote.Image(reference, remote.WithContext(ctx), remote.WithTransport(h.registry.transport), remote.WithAuth(&authn.Basic{Username: "AWS", Password: password}))
	if err != nil {
		return command{}, fmt.Errorf("Failed to copy the image from ECR: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return command{}, fmt.Errorf("Failed to copy the image from ECR: %w", err)
	}
	if platform := config.OS + "/" + config.Architecture; platform != "linux/amd64" {
		return command{}, fmt.Errorf("exec format error (the image is for %s, App Runner runs linux/amd64); Health check failed on port '%s'. Check your configured port number. For more information, read the application logs", platform, spec.Port)
	}
	words := append(config.Config.Entrypoint, config.Config.Cmd...)
	if len(words) == 0 {
		return command{}, errors.New("no command specified, neither by the image nor by the service")
	}
	digest, err := image.Digest()
	if err != nil {
		return command{}, fmt.Errorf("Failed to copy the image from ECR: %w", err)
	}
	root, err := h.unpack(image, digest)
	if err != nil {
		return command{}, err
	}
	program := filepath.Join(root, filepath.FromSlash(words[0]))
	if _, err := os.Stat(program); err != nil {
		return command{}, fmt.Errorf("exec: %q: no such file or directory in the image", words[0])
	}
	return command{path: program, args: words[1:], digest: digest.String()}, nil
}

// unpack writes an image's files into a folder of its own, once.
func (h *Host) unpack(image v1.Image, digest v1.Hash) (root string, err error) {
	h.unpacking.Lock()
	defer h.unpacking.Unlock()
	images, err := h.Folder("pulled")
	if err != nil {
		return "", err
	}
	root = filepath.Join(images, digest.Hex)
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	partial, err := os.MkdirTemp(images, "partial-")
	if err != nil {
		return "", fmt.Errorf("make a folder for an image: %w", err)
	}
	files := mutate.Extract(image)
	err = errors.Join(untar(files, partial), files.Close())
	if err == nil {
		err = os.Rename(partial, root)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("unpack the image %s: %w", digest, err), os.RemoveAll(partial))
	}
	return root, nil
}

// untar writes regular files and folders, which is all that images without a system have.
func untar(from io.Reader, root string) error {
	for entries := tar.NewReader(from); ; {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		path := strings.TrimPrefix(entry.Name, "/")
		if !filepath.IsLocal(path) || entry.Typeflag != tar.TypeReg && entry.Typeflag != tar.TypeDir {
			return fmt.Errorf("%s is neither a file nor a folder of the image", entry.Name)
		}
		target := filepath.Join(root, path)
		if entry.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(target, 0o755); err != nil {
				return err
			}
			continue
		}
		if err := write(entries, target, entry.FileInfo().Mode().Perm()); err != nil {
			return err
		}
	}
}

func write(content io.Reader, path string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	// A process that is started meanwhile would have the file open for writing for a moment, in which it cannot be run.
	// https://go.dev/issue/22315
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}
