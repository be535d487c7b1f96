package host

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// roleVariable makes the test binary something else than a test: an instance, which gets nothing but the
// environment that the host gives it, or the process that has a host and is killed.
const roleVariable = "TEST_ROLE"

// addressLine begins the line in an instance's log that says where it listens.
const addressLine = "address: "

// laterLine is the line that /later has the instance write.
const laterLine = "done later"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "instance":
		fmt.Fprintln(os.Stderr, runInstance())
		os.Exit(1)
	case "parent":
		fmt.Fprintln(os.Stderr, runParent(os.Stdin, os.Stdout))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// runInstance is a program that a service runs; its environment says how it behaves.
func runInstance() error {
	address := net.JoinHostPort(os.Getenv("LISTEN_HOST"), os.Getenv("PORT"))
	fmt.Println("a line of the log from", os.Getenv("REVISION"))
	fmt.Println(addressLine + address)
	if os.Getenv("EXITS") != "" {
		os.Exit(3)
	}
	if os.Getenv("DEAF") != "" {
		signal.Ignore(syscall.SIGTERM)
	}
	health := http.StatusOK
	if text := os.Getenv("HEALTH"); text != "" {
		var err error
		if health, err = strconv.Atoi(text); err != nil {
			return fmt.Errorf("HEALTH: %w", err)
		}
	}
	var once sync.Once
	held, released := make(chan struct{}, 1), make(chan struct{})
	mux := http.NewServeMux()
	// A request to /later is answered at once; what it asks for comes due a second later.
	mux.HandleFunc("/later", func(http.ResponseWriter, *http.Request) {
		time.AfterFunc(time.Second, func() { fmt.Println(laterLine) })
	})
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/revision")
		w.WriteHeader(health)
	})
	mux.HandleFunc("/revision", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, os.Getenv("REVISION")) })
	mux.HandleFunc("/environment", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(os.Environ()) })
	// A request to /wait is answered after one to /release; any number may wait.
	mux.HandleFunc("/wait", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-released:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) { _ = json.NewEncoder(w).Encode(r.Header) })
	mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(4) })
	mux.HandleFunc("/never", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	// A request to /hold is answered after one to /release; /held is answered once the first has come.
	mux.HandleFunc("/hold", func(w http.ResponseWriter, r *http.Request) {
		held <- struct{}{}
		select {
		case <-released:
			_, _ = io.WriteString(w, os.Getenv("REVISION"))
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/held", func(http.ResponseWriter, *http.Request) { <-held })
	mux.HandleFunc("/release", func(http.ResponseWriter, *http.Request) { once.Do(func() { close(released) }) })
	return http.ListenAndServe(address, mux)
}

// runParent has a host with all that one can have, tells the addresses, and waits to be killed.
func runParent(in io.Reader, out io.Writer) error {
	h, err := New(io.Discard)
	if err != nil {
		return err
	}
	c := &cloud{host: h, ctx: context.Background()}
	cluster, err := c.cluster()
	if err != nil {
		return err
	}
	if err := c.repository(); err != nil {
		return err
	}
	spec := newSpec("one", nil)
	spec.Scaling = two
	if _, err := h.Deploy(c.ctx, spec); err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(c.listening(cluster, spec)); err != nil {
		return fmt.Errorf("tell the addresses: %w", err)
	}
	_, err = io.Copy(io.Discard, in)
	return err
}
