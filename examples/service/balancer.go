package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"time"
)

// balancer passes requests on to its backends in turn. It tries each request once: a backend that fails one fails a client.
type balancer struct {
	transport *http.Transport

	mu       sync.Mutex
	backends []*backend
	turn     int
}

// backend is where a process listens.
type backend struct {
	address  string
	proxy    *httputil.ReverseProxy
	requests sync.WaitGroup // those that run there
}

// newBalancer has none of the connections that http.Transport keeps: on one that turns out to be closed it would try a GET again.
func newBalancer() *balancer { return &balancer{transport: &http.Transport{DisableKeepAlives: true}} }

// ServeHTTP passes one request on.
func (l *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b := l.pick()
	if b == nil {
		http.Error(w, "no backend", http.StatusServiceUnavailable)
		return
	}
	defer b.requests.Done()
	b.proxy.ServeHTTP(w, r)
}

func (l *balancer) pick() *backend {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.backends) == 0 {
		return nil
	}
	l.turn = (l.turn + 1) % len(l.backends)
	b := l.backends[l.turn]
	b.requests.Add(1)
	return b
}

// readyPoll is how often a backend that starts is asked whether it is ready.
const readyPoll = 20 * time.Millisecond

// take takes a backend in as soon as it is ready.
func (l *balancer) take(ctx context.Context, address string) error {
	target := &url.URL{Scheme: "http", Host: address}
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	for {
		err := l.ready(ctx, target)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
	b := &backend{address: address, proxy: &httputil.ReverseProxy{
		Transport: l.transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "backend: "+err.Error(), http.StatusBadGateway)
		},
	}}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.backends = append(l.backends, b)
	return nil
}

func (l *balancer) ready(ctx context.Context, target *url.URL) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target.JoinPath("ready").String(), nil)
	if err != nil {
		return err
	}
	answer, err := l.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("backend %s is not ready: %s", target.Host, answer.Status)
	}
	_ = answer.Body.Close()
	return err
}

// leave sends a backend no more requests, and returns when those that it has are done.
func (l *balancer) leave(address string) {
	l.mu.Lock()
	i := slices.IndexFunc(l.backends, func(b *backend) bool { return b.address == address })
	b := l.backends[i]
	l.backends = slices.Delete(l.backends, i, i+1)
	l.mu.Unlock()
	b.requests.Wait()
}
