package main

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/khronicle/khronicle/kube"
)

// role is one of the three parts of Khronicle, and what it watches of the cluster.
type role struct {
	name string
	kube.Options
	ledger ledgerUse
	// run works until ctx ends, once the cluster has been read and Temporal answers.
	run func(ctx context.Context, p *process) error
}

var (
	workerRole = role{"worker", kube.Options{Checks: true, Jobs: true, States: true, Pods: true}, writesLedger, runWorker}
	// starterRole is ready only when it has read the checks, jobs and states. It writes the status of checks, and events.
	starterRole = role{"starter", kube.Options{Checks: true, Jobs: true, States: true, Events: true}, noLedger, runStarter}
	// reportRole serves from the start, so that /readyz can say what is missing.
	reportRole = role{"reportapi", kube.Options{Checks: true, Jobs: true, States: true}, readsLedger, nil}

	allRoles = []role{workerRole, starterRole, reportRole}
)

// runRoles runs one or more roles in this process until ctx ends or a role fails.
func runRoles(ctx context.Context, c *config, roles ...role) error {
	watch := kube.Options{UserAgent: "khronicle"}
	for _, r := range roles {
		watch.UserAgent += "/" + r.name
		watch.Checks, watch.Jobs = watch.Checks || r.Checks, watch.Jobs || r.Jobs
		watch.States, watch.Pods = watch.States || r.States, watch.Pods || r.Pods
		watch.Events = watch.Events || r.Events
	}
	watch.Pods = watch.Pods || c.sourceIP // false without the report API
	p, err := newProcess(c, watch)
	if err != nil {
		return err
	}
	defer p.temporal.Close()
	closeLedger, err := p.openLedger(ctx, roles)
	if err != nil {
		return err
	}
	defer closeLedger() // after the roles, which may write records until their end
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { p.live.Run(ctx); return nil })
	group.Go(func() error { return p.serve(ctx, roles) })
	group.Go(func() error { return p.serveProfiles(ctx) })
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
