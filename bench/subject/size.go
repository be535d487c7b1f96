package subject

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
)

// certificates are the root certificates that the image has beside the binary.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

// Size gives the bytes of the binary, and those that a registry stores of an image of it and the root certificates: a
// layer each, compressed as Docker does.
func (s Subject) Size() (binary, image int64, err error) {
	info, err := os.Stat(s.Binary)
	if err != nil {
		return 0, 0, fmt.Errorf("measure %s: %w", s.Name, err)
	}
	for _, file := range []string{certificates, s.Binary} {
		var layer counter
		if err := pack(&layer, file); err != nil {
			return 0, 0, fmt.Errorf("measure the image of %s: %w", s.Name, err)
		}
		image += int64(layer)
	}
	return info.Size(), image, nil
}

func pack(out io.Writer, file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	zip := gzip.NewWriter(out)
	archive := tar.NewWriter(zip)
	err = archive.WriteHeader(&tar.Header{Name: file[1:], Mode: 0o755, Size: int64(len(content))})
	_, writeErr := archive.Write(content)
	return errors.Join(err, writeErr, archive.Close(), zip.Close())
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}
