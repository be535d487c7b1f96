package credentials

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

const (
	// tries are made of one exchange, each of at most tryTimeout, with a random pause of
	// up to firstPause before the second, and up to twice that before the next.
	tries      = 3
	tryTimeout = 3 * time.Second
	firstPause = 200 * time.Millisecond
	// maxAnswer is well above the largest secret, 64 KiB, however it is escaped.
	maxAnswer = 1 << 20
)

func newClient() *http.Client {
	return &http.Client{
		Timeout: tryTimeout,
		// What is signed for one host is not sent on to another.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// exchange sends what request makes, has decode take in the body of the answer 200, and
// tries again after what may pass: no answer, a 5xx, throttling.
func exchange(ctx context.Context, client *http.Client, request func(context.Context) (*http.Request, error), decode func([]byte) error) error {
	for try := 1; ; try++ {
		req, err := request(ctx)
		if err != nil {
			return err
		}
		if err = once(client, req, decode); err == nil {
			return nil
		}
		if try == tries || !passing(err) || pause(ctx, rand.N(firstPause<<(try-1))) != nil {
			return fmt.Errorf("%s %s: %w", req.Method, req.URL.Redacted(), err)
		}
	}
}

// once makes one try. Its errors name neither the method nor the URL, and never quote
// what was read: it may be a secret.
func once(client *http.Client, req *http.Request, decode func([]byte) error) error {
	res, err := client.Do(req)
	if err != nil {
		if u := new(url.Error); errors.As(err, &u) {
			err = u.Err
		}
		return &noAnswer{err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return &noAnswer{err}
	case len(body) > maxAnswer:
		return fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	case res.StatusCode != http.StatusOK:
		return newRefusal(res, body)
	}
	return decode(body)
}

// pause waits for d, or says that ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// passing says whether the same request may succeed in a moment.
func passing(err error) bool {
	var refused *refusal
	if errors.As(err, &refused) {
		return refused.passing()
	}
	return errors.As(err, new(*noAnswer))
}

// noAnswer says that there was none, or half of one.
type noAnswer struct{ err error }

func (e *noAnswer) Error() string { return "no answer: " + e.err.Error() }

func (e *noAnswer) Unwrap() error { return e.err }
