// Package operations serves /healthz, /readyz and /metrics, with time limits and a graceful stop. Every role of Khronicle has
// these paths. It serves Go profiles too, on loopback addresses alone. It never decides what a role needs: roles add their own checks and metrics.
package operations

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler answers GET requests to /healthz, /readyz and /metrics.
func Handler(ready *Readiness, metrics prometheus.Gatherer, logger *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", live)
	mux.Handle("GET /readyz", ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelError),
	}))
	return mux
}

// live answers /healthz: 200 as long as the process answers at all.
func live(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }
