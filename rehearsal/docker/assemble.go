package docker

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// rootCertificates is where the Dockerfile's first stage has them, and systemCertificates are where this machine may have the
// same.
const rootCertificates = "/etc/ssl/certs/ca-certificates.crt"

var systemCertificates = []string{rootCertificates, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}

// assemble makes the image from its parts: one layer for each file that the Dockerfile copies. (DOC-3)
func assemble(wanted recipe, platform, program string) (v1.Image, error) {
	image := empty.Image
	for _, file := range wanted.copies {
		layer, err := wanted.layer(file, program)
		if err != nil {
			return nil, err
		}
		if layer == nil {
			continue
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			return nil, fmt.Errorf("add %s to the image: %w", file.to, err)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("describe the image: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, _ = strings.Cut(platform, "/")
	config.Created, config.Config = v1.Time{Time: time.Unix(0, 0).UTC()}, wanted.config
	return mutate.ConfigFile(image, config)
}

// layer holds one file; nil when this machine has no root certificates, which nothing here needs.
func (r recipe) layer(file copied, program string) (v1.Layer, error) {
	var content []byte
	var err error
	mode := int64(0o644)
	switch file.from {
	case r.program:
		mode = 0o755
		content, err = os.ReadFile(program)
	case rootCertificates:
		content, err = firstOf(systemCertificates)
	default:
		err = fmt.Errorf("the rehearsal builds the program and has root certificates, nothing else")
	}
	if err != nil {
		return nil, fmt.Errorf("copy %s into the image: %w", file.from, err)
	}
	if content == nil {
		return nil, nil
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	name := strings.TrimPrefix(path.Clean(file.to), "/")
	err = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(content)), ModTime: time.Unix(0, 0)})
	if err == nil {
		_, err = w.Write(content)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("copy %s into the image: %w", file.from, err)
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil },
		tarball.WithCompressedCaching, tarball.WithCompressionLevel(gzip.DefaultCompression))
}

func firstOf(paths []string) ([]byte, error) {
	for _, file := range paths {
		content, err := os.ReadFile(file)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return content, err
		}
	}
	return nil, nil
}
