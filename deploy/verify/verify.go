// Package verify makes sure that what was deployed is what answers, and says why when it is not. App Runner goes back to
// the old version when a new one does not become healthy, and Pulumi calls that a success.
package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"example.com/todo/service/check"

	"example.com/todo/deploy/cloud"
)

// A Deployment is what should answer.
type Deployment struct {
	// URL is where, and Version what GET /version says there.
	URL, Version string
	// ServiceARN is App Runner's.
	ServiceARN string
	// Key opens the API; empty where it is open to all.
	Key    string
	Client *http.Client
	Log    io.Writer
	// Patience bounds each wait, Pause is what lies between two questions.
	Patience, Pause time.Duration
}

// Standard bounds: App Runner has switched over before Pulumi ends, and a database takes half a minute to wake.
const (
	StandardPatience = 3 * time.Minute
	StandardPause    = 2 * time.Second
)

// An account knows what App Runner did. *cloud.Account is one.
type account interface {
	LastOperation(ctx context.Context, serviceARN string) (cloud.Operation, error)
}

// Run answers once the deployed version is there, its database too, and it keeps the contract of the API.
func (d *Deployment) Run(ctx context.Context, of account) error {
	if err := d.notRolledBack(ctx, of); err != nil {
		return err
	}
	if err := d.await(ctx, "/version", d.isDeployed); err != nil {
		return fmt.Errorf("the deployed version does not answer: %w", err)
	}
	if err := d.await(ctx, "/readyz", isReady); err != nil {
		return fmt.Errorf("the service does not reach its database: %w", err)
	}
	if err := d.await(ctx, guarded, isAnswered); err != nil {
		return fmt.Errorf("the API does not answer: %w", err)
	}
	failed := 0
	err := check.RunWithKey(ctx, d.Client, d.URL, d.Key, func(rule string, err error) {
		if err != nil {
			failed++
			fmt.Fprintf(d.Log, "  does not hold: %s: %v\n", rule, err)
		}
	})
	if err != nil {
		return fmt.Errorf("the contract of the API: %w", err)
	}
	fmt.Fprintln(d.Log, "every rule of the API's contract holds")
	return nil
}

// notRolledBack asks App Runner how the last deployment ended. Who may not ask is told by the version that answers.
func (d *Deployment) notRolledBack(ctx context.Context, of account) error {
	operation, err := of.LastOperation(ctx, d.ServiceARN)
	if err != nil {
		fmt.Fprintf(d.Log, "how App Runner's last operation ended is not known: %v\n", err)
		return nil
	}
	if operation.Failed() {
		return fmt.Errorf("the new version was not taken: App Runner's %s ended as %s", operation.Type, operation.Status)
	}
	fmt.Fprintf(d.Log, "App Runner's last operation: %s %s\n", operation.Type, operation.Status)
	return nil
}

// await asks until the answer is right, and tells when it changes.
func (d *Deployment) await(ctx context.Context, path string, right func(status int, body []byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, d.Patience)
	defer cancel()
	ticker := time.NewTicker(d.Pause)
	defer ticker.Stop()
	said := ""
	for {
		status, body, err := d.get(ctx, path)
		if err == nil {
			err = right(status, body)
		}
		if err == nil {
			fmt.Fprintf(d.Log, "GET %s%s: %d %s\n", d.URL, path, status, firstLine(body))
			return nil
		}
		if ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			fmt.Fprintf(d.Log, "GET %s%s: %s; asking again for %s\n", d.URL, path, said, d.Patience)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return errors.Join(errors.New(said), ctx.Err())
		}
	}
}

func (d *Deployment) get(ctx context.Context, path string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL+path, nil)
	if err != nil {
		return 0, nil, err
	}
	if d.Key != "" {
		request.Header.Set("Authorization", "Bearer "+d.Key)
	}
	response, err := d.Client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	return response.StatusCode, body, err
}

func (d *Deployment) isDeployed(status int, body []byte) error {
	var build struct {
		Version string `json:"version"`
	}
	if status != http.StatusOK || json.Unmarshal(body, &build) != nil {
		return fmt.Errorf("%d %s", status, firstLine(body))
	}
	if build.Version != d.Version {
		return fmt.Errorf("version %s, %s was deployed", build.Version, d.Version)
	}
	return nil
}

func isReady(status int, body []byte) error {
	if status != http.StatusOK {
		return fmt.Errorf("%d %s", status, firstLine(body))
	}
	return nil
}

// guarded is a path for which the service asks for a key, if it does so at all. What it cannot read yet, such as its keys with
// a permission that was given seconds ago, it answers with 503.
const guarded = "/api/v1/tasks?limit=1"

func isAnswered(status int, body []byte) error {
	if status == http.StatusServiceUnavailable {
		return fmt.Errorf("%d %s", status, firstLine(body))
	}
	return nil
}

func firstLine(body []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	return line[:min(len(line), 300)]
}
