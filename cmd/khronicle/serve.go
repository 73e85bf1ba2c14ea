package main

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/khronicle/khronicle/internal/health"
	"github.com/khronicle/khronicle/internal/httpserver"
	"github.com/khronicle/khronicle/reportapi"
)

// serve answers HTTP: with the report API where that role runs, else with health and metrics alone.
func (p *process) serve(ctx context.Context, roles []role) error {
	for _, r := range roles {
		if r.name == reportRole.name {
			return p.serveReports(ctx)
		}
	}
	listener, err := net.Listen("tcp", p.operations)
	if err != nil {
		return fmt.Errorf("listen for /healthz: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", health.Live)
	mux.Handle("GET /readyz", p.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics.Registry, promhttp.HandlerOpts{}))
	return httpserver.Serve(ctx, listener, mux, p.logger)
}

func (p *process) serveReports(ctx context.Context) error {
	options := reportapi.Options{
		Address: p.live.ListenAddress(), Signaler: p.temporal, Runs: p.temporal, States: p.cluster, Name: p.podName,
		Synced: p.cluster.Synced, Registry: p.metrics.Registry, Ready: p.ready, Presentation: p.presentation, Logger: p.logger,
	}
	if p.sourceIP {
		options.Pods = p.cluster
	}
	server, err := reportapi.New(options)
	if err != nil {
		return err
	}
	return server.Serve(ctx)
}

// presentation is what the configuration file and the flags say now of the status page and the metrics.
func (p *process) presentation() reportapi.Presentation {
	metrics := p.live.Metrics()
	return reportapi.Presentation{
		Metadata: p.live.Metadata(), SuppressErrorLabel: metrics.SuppressErrorLabel, ErrorLabelMaxLength: metrics.ErrorLabelMaxLength,
		IgnoreUnknown: p.unknownIsHealthy,
	}
}
