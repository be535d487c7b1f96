package host

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/todo/rehearsal/account"
)

// requestLimit is App Runner's for a whole request. https://docs.aws.amazon.com/apprunner/latest/dg/develop.html
const requestLimit = 120 * time.Second

// A front is what answers at a service's URL: it ends TLS and passes each request to the instance that has the fewest.
type front struct {
	host      string // localhost:port, where the internet reaches the service
	authority *authority
	limit     time.Duration
	public    *entrance
	transport *http.Transport
	// pressed has room for one note that other instances are needed than there are.
	pressed chan struct{}

	mu        sync.Mutex
	instances []*instance
	next      int
	scaling   account.Scaling
	load      int       // requests under way
	peak      int       // the most of them since the last look
	private   bool      // the public entrance is shut
	inside    *entrance // the one from inside a VPC, or nil
}

type targetKey struct{}

// answerTime is what the front has for its 504, or for the end of an answer that the client takes too slowly.
const answerTime = 5 * time.Second

// newFront starts a front that cuts a request when limit has passed.
func newFront(authority *authority, limit time.Duration) (*front, error) {
	f := &front{
		authority: authority, limit: limit, pressed: make(chan struct{}, 1),
		// What a client does not ask for is not asked for on its behalf.
		transport: &http.Transport{MaxIdleConnsPerHost: 200, DisableCompression: true},
	}
	serve := f.handler()
	var err error
	f.public, err = open(authority, limit, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.shut() {
			http.Error(w, "the service is private", http.StatusNotFound)
			return
		}
		serve.ServeHTTP(w, r)
	}))
	if err != nil {
		return nil, err
	}
	f.host = f.public.host
	return f, nil
}

// handler passes requests on.
func (f *front) handler() http.Handler {
	proxy := &httputil.ReverseProxy{
		Transport: f.transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: r.In.Context().Value(targetKey{}).(string)})
			forward(r)
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			status := http.StatusBadGateway
			if errors.Is(err, context.DeadlineExceeded) {
				status = http.StatusGatewayTimeout
			}
			http.Error(w, http.StatusText(status), status)
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target, refusal := f.pick()
		if refusal != 0 {
			http.Error(w, http.StatusText(refusal), refusal)
			return
		}
		target.throttle.work()
		defer f.answered(target)
		// RUN-9
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), targetKey{}, target.addr), f.limit)
		defer cancel()
		proxy.ServeHTTP(w, r.WithContext(ctx))
	})
}

// forward tells the service who asks, and how: the client's address comes last in X-Forwarded-For, after what the client
// wrote there itself. Other headers stay as they are. (RUN-10)
// https://docs.aws.amazon.com/apprunner/latest/dg/network-incoming.html
func forward(r *httputil.ProxyRequest) {
	r.Out.Host = r.In.Host
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host"} {
		if values := r.In.Header.Values(name); len(values) > 0 {
			r.Out.Header[name] = values
		}
	}
	client, _, err := net.SplitHostPort(r.In.RemoteAddr)
	if err != nil {
		client = r.In.RemoteAddr
	}
	r.Out.Header.Set("X-Forwarded-For", strings.Join(append(r.In.Header.Values("X-Forwarded-For"), client), ", "))
	r.Out.Header.Set("X-Forwarded-Proto", "https")
}

// pick takes an instance and counts the request, which the caller ends with answered; or it is a status. (AR-21, AR-22)
func (f *front) pick() (target *instance, refusal int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.instances) == 0 {
		return nil, http.StatusServiceUnavailable
	}
	if f.load >= f.scaling.Most*f.scaling.Concurrency {
		return nil, http.StatusTooManyRequests
	}
	f.next++
	for n := range f.instances {
		if i := f.instances[(f.next+n)%len(f.instances)]; target == nil || i.load < target.load {
			target = i
		}
	}
	f.load++
	f.peak = max(f.peak, f.load)
	target.load++
	target.requests.Add(1)
	if f.wanted(f.load) > len(f.instances) {
		f.press()
	}
	return target, 0
}

func (f *front) answered(target *instance) {
	target.throttle.rest()
	target.requests.Done()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.load--
	target.load--
}

func (f *front) press() {
	select {
	case f.pressed <- struct{}{}:
	default:
	}
}

// wanted is how many instances so many requests take.
func (f *front) wanted(load int) int {
	s := f.scaling
	return min(max((load+s.Concurrency-1)/s.Concurrency, s.Least), s.Most)
}

// missing is how many instances the requests of this moment take beside those that there are.
func (f *front) missing() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.instances) == 0 && f.scaling.Least == 0 {
		return 0
	}
	return f.wanted(f.load) - len(f.instances)
}

// spare takes out the instances that were not needed since it was last called.
func (f *front) spare() []*instance {
	f.mu.Lock()
	defer f.mu.Unlock()
	wanted := min(f.wanted(f.peak), len(f.instances))
	f.peak = f.load
	spare := f.instances[wanted:]
	f.instances = f.instances[:wanted:wanted]
	return spare
}

func (f *front) add(instances []*instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instances = append(f.instances, instances...)
}

// drop takes out an instance that has ended by itself.
func (f *front) drop(i *instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := slices.Index(f.instances, i)
	if n < 0 {
		return
	}
	f.instances = slices.Delete(slices.Clone(f.instances), n, n+1)
	f.press()
}

// turnTo sends all further requests to the given instances and answers those before.
func (f *front) turnTo(instances []*instance, scaling account.Scaling) (before []*instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, f.instances, f.scaling = f.instances, instances, scaling
	return before
}

func (f *front) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.instances)
}

func (f *front) close() error {
	err := errors.Join(f.public.close(), f.disconnect())
	f.transport.CloseIdleConnections()
	return err
}
