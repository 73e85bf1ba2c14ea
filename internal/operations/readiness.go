package operations

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// checkTimeout is how long one request to /readyz may take.
const checkTimeout = 2 * time.Second

// A Check returns nil if a thing that the process needs is there.
type Check func(ctx context.Context) error

// Readiness is a set of named checks. The zero value is ready.
type Readiness struct {
	mu     sync.Mutex
	checks map[string]Check
}

// Add adds a check, or replaces the one of that name.
func (r *Readiness) Add(name string, c Check) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.checks == nil {
		r.checks = map[string]Check{}
	}
	r.checks[name] = c
}

// run returns the answer of each check, "ok" or an error text, and whether all answers are "ok".
func (r *Readiness) run(ctx context.Context, excluded []string) (answers map[string]string, ready bool) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	r.mu.Lock()
	checks := maps.Clone(r.checks)
	r.mu.Unlock()
	answers, ready = map[string]string{}, true
	for name, probe := range checks {
		if slices.Contains(excluded, name) {
			continue
		}
		answers[name] = "ok"
		if err := probe(ctx); err != nil {
			answers[name], ready = err.Error(), false
		}
	}
	return answers, ready
}

// ServeHTTP answers /readyz: 200 if every check is ok, else 503, with the answer of each check as JSON.
// ?exclude=NAME leaves a check out, as in the Kubernetes API server.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	answers, ready := r.run(req.Context(), req.URL.Query()["exclude"])
	w.Header().Set("Content-Type", "application/json")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(answers) // the client has closed the connection
}
