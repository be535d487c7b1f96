package postgres

import (
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"fmt"
)

//go:generate go run rds_roots_gen.go

// rdsRoots are the roots of Amazon RDS and Aurora, DER one after another. They
// are in no system's store, and an image from scratch has no file to read.
//
//go:embed rds_roots.der
var rdsRoots []byte

// verifyFull trusts RDS and the system's roots, which SSL_CERT_FILE can replace.
// The caller sets ServerName, which the certificate must bear.
func verifyFull() (*tls.Config, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's root certificates: %w", err)
	}
	roots, err := x509.ParseCertificates(rdsRoots)
	if err != nil {
		return nil, fmt.Errorf("parse the embedded root certificates of RDS: %w", err)
	}
	for _, root := range roots {
		pool.AddCert(root)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
