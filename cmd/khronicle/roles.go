package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/khronicle/khronicle/internal/health"
	"github.com/khronicle/khronicle/internal/httpserver"
	"github.com/khronicle/khronicle/kube"
	"github.com/khronicle/khronicle/reportapi"
	"github.com/khronicle/khronicle/starter"
	"github.com/khronicle/khronicle/worker"
)

// role is one of the three parts of Khronicle, and what it watches of the cluster.
type role struct {
	name string
	kube.Options
	// run works until ctx ends, once the cluster has been read and Temporal answers.
	run func(ctx context.Context, p *process) error
}

var (
	workerRole = role{"worker", kube.Options{Checks: true, Jobs: true, States: true, Pods: true}, runWorker}
	// starterRole is ready only when it can see the checks; it writes nothing to the cluster.
	starterRole = role{"starter", kube.Options{Checks: true, Jobs: true}, runStarter}
	// reportRole serves from the start, so that it can say what is missing.
	reportRole = role{"reportapi", kube.Options{Checks: true, Jobs: true, States: true}, nil}
)

// runRoles runs one or more roles in this process until ctx ends or one of them fails.
func runRoles(ctx context.Context, c *config, roles ...role) error {
	watch := kube.Options{UserAgent: "khronicle"}
	for _, r := range roles {
		watch.UserAgent += "/" + r.name
		watch.Checks, watch.Jobs = watch.Checks || r.Checks, watch.Jobs || r.Jobs
		watch.States, watch.Pods = watch.States || r.States, watch.Pods || r.Pods
	}
	p, err := newProcess(c, watch)
	if err != nil {
		return err
	}
	defer p.temporal.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { p.live.Run(ctx); return nil })
	group.Go(func() error { return p.serve(ctx, roles) })
	group.Go(func() error {
		if err := p.awaitBackends(ctx); err != nil {
			return err
		}
		p.logger.Info("started", "roles", watch.UserAgent)
		for _, r := range roles {
			if r.run != nil {
				group.Go(func() error { return r.run(ctx, p) })
			}
		}
		return nil
	})
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

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
	server, err := reportapi.New(reportapi.Options{
		Address: p.live.ListenAddress(), Signaler: p.temporal, States: p.cluster, Name: p.podName,
		Synced: p.cluster.Synced, Registry: p.metrics.Registry, Ready: p.ready, Logger: p.logger,
	})
	if err != nil {
		return err
	}
	return server.Serve(ctx)
}

func runWorker(ctx context.Context, p *process) error {
	return worker.Run(ctx, worker.Options{
		Temporal: p.temporal, Cluster: p.cluster, ReportingURL: p.live.ReportingURL, Name: p.podName,
		Retention: p.live.Retention, ReapInterval: p.reapInterval, Logger: p.logger,
	})
}

// ensureSearchAttributes tries until Temporal has them. Where the starter may not add them, someone else has to; until
// then its workflows are refused and tried again.
func (p *process) ensureSearchAttributes(ctx context.Context) {
	for {
		err := starter.EnsureSearchAttributes(ctx, p.temporal, p.temporalNamespace)
		if err == nil || ctx.Err() != nil {
			return
		}
		p.logger.Warn("search attributes are not ensured; add KhCheck, KhNamespace and KhOutcome (Keyword) by hand if this stays", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(searchAttributesPause):
		}
	}
}

// searchAttributesPause is the time between two tries to register the search attributes.
const searchAttributesPause = 10 * time.Second

func runStarter(ctx context.Context, p *process) error {
	go p.ensureSearchAttributes(ctx)
	return starter.Run(ctx, starter.Options{Cluster: p.cluster, Temporal: p.temporal, Logger: p.logger})
}
