package main

import (
	"context"
	"time"

	"github.com/khronicle/khronicle/starter"
)

// dialPause is the time between two tries to reach Temporal at the start.
const dialPause = time.Second

// namespaceRetention is how long Temporal stores ended runs in a namespace that Khronicle makes. Outcomes are stored elsewhere.
const namespaceRetention = 72 * time.Hour

// awaitBackends returns once the cluster has been read and Temporal answers.
func (p *process) awaitBackends(ctx context.Context) error {
	p.cluster.Start(ctx)
	if err := p.cluster.WaitForSync(ctx); err != nil {
		return err
	}
	if err := p.awaitTemporal(ctx, "Temporal", p.temporalReady); err != nil || !p.makesNamespace {
		return err
	}
	return p.awaitTemporal(ctx, "the namespace in Temporal", func(ctx context.Context) error {
		return starter.EnsureNamespace(ctx, p.temporal, p.temporalNamespace, namespaceRetention)
	})
}

// awaitTemporal tries something until it succeeds or ctx ends.
func (p *process) awaitTemporal(ctx context.Context, what string, try func(context.Context) error) error {
	for {
		probe, cancel := context.WithTimeout(ctx, dialPause*2)
		err := try(probe)
		cancel()
		if err == nil {
			return nil
		}
		p.logger.Warn("waiting for Temporal", "for", what, "error", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(dialPause):
		}
	}
}
