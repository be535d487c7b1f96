// Command check verifies the service's contract on any base URL:
//
//	go run ./cmd/check [--ca FILE] [--key KEY] URL
//
// A service that wants an API key gets the one in the environment's API_KEY, or in
// --key. It prints a line for each rule and exits with 1 when one does not hold.
package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"example.com/todo/service/check"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	ca := flags.String("ca", "", "PEM `file` of a private root certificate")
	key := flags.String("key", "", "API `key`; others see it in the list of processes, so better set "+check.KeyVariable)
	if err := flags.Parse(args); err != nil {
		return err
	}
	base, err := url.Parse(flags.Arg(0))
	if flags.NArg() != 1 || err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return errors.New("usage: check [--ca FILE] [--key KEY] URL")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if *ca != "" {
		if transport.TLSClientConfig, err = trust(*ca); err != nil {
			return err
		}
	}
	defer transport.CloseIdleConnections()
	return check.RunWithKey(ctx, &http.Client{Transport: transport}, base.String(), cmp.Or(*key, getenv(check.KeyVariable)), func(rule string, err error) {
		if err == nil {
			fmt.Fprintln(stdout, "ok    ", rule)
			return
		}
		fmt.Fprintln(stdout, "FAILED", rule)
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintln(stdout, "       ", line)
		}
	})
}

// trust adds a root to the system's.
func trust(file string) (*tls.Config, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the root certificate: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's root certificates: %w", err)
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}
