package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/khronicle/khronicle/internal/operations"
	"github.com/khronicle/khronicle/reportapi"
	"github.com/khronicle/khronicle/view"
)

// serve answers HTTP: the report API if that role runs in this process, else /healthz, /readyz and /metrics alone.
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
	return operations.Serve(ctx, listener, operations.Handler(p.ready, p.metrics.Registry, p.logger), p.logger)
}

// serveProfiles answers requests for profiles, if --pprof-address asks for that.
func (p *process) serveProfiles(ctx context.Context) error {
	if p.pprof == "" {
		return nil
	}
	listener, err := net.Listen("tcp", p.pprof)
	if err != nil {
		return fmt.Errorf("--%s: %w", flagPprof, err)
	}
	return operations.ServeProfiles(ctx, listener, p.logger)
}

// snapshotFor is how long one snapshot of all checks is shown. Making it costs milliseconds with thousands of checks.
const snapshotFor = 250 * time.Millisecond

func (p *process) serveReports(ctx context.Context) error {
	shown := view.Options{Cluster: p.cluster, FreshFor: snapshotFor, HideEvidence: !p.showEvidence, Logger: p.logger}
	reading, stop := context.WithCancel(ctx)
	var ended sync.WaitGroup
	defer ended.Wait()
	defer stop()
	if p.stored != nil {
		shown.Ledger = p.stored
	}
	ui, err := p.temporalUIURL()
	if err != nil {
		return err
	}
	options := reportapi.Options{
		Address: p.live.ListenAddress(), Signaler: p.temporal, Runs: p.temporal, View: view.New(shown), Name: p.podName,
		Synced: p.cluster.Synced, Registry: p.metrics.Registry, Ready: p.ready, Presentation: p.presentation, Logger: p.logger,
		TemporalUI: ui, TemporalNamespace: p.temporalNamespace,
	}
	if p.sourceIP {
		options.Pods = p.cluster
	}
	server, err := reportapi.New(options)
	if err != nil {
		return err
	}
	ended.Go(func() { options.View.Run(reading) })
	return server.Serve(ctx)
}

// presentation returns the present settings of the status page and the metrics, from the configuration file and the flags.
func (p *process) presentation() reportapi.Presentation {
	metrics := p.live.Metrics()
	return reportapi.Presentation{
		Metadata: p.live.Metadata(), SuppressErrorLabel: metrics.SuppressErrorLabel, ErrorLabelMaxLength: metrics.ErrorLabelMaxLength,
		IgnoreUnknown: p.unknownIsHealthy,
	}
}
