package main

import (
	"context"
	"time"

	"github.com/khronicle/khronicle/starter"
)

// searchAttributesPause is the time between two tries to register the search attributes.
const searchAttributesPause = 10 * time.Second

func runStarter(ctx context.Context, p *process) error {
	go p.ensureSearchAttributes(ctx)
	return starter.Run(ctx, starter.Options{
		Cluster: p.cluster, Temporal: p.temporal, Burst: p.startBurst, Logger: p.logger,
	})
}

// ensureSearchAttributes adds the search attributes to Temporal, and tries again until it has them. If the starter may not add them,
// an operator must. Until then Temporal refuses the starter's workflows, and the starter tries again.
func (p *process) ensureSearchAttributes(ctx context.Context) {
	for {
		err := starter.EnsureSearchAttributes(ctx, p.temporal, p.temporalNamespace)
		if err == nil || ctx.Err() != nil {
			return
		}
		p.logger.Warn("search attributes were not added; if this stays, add them by hand, with type Keyword",
			"attributes", starter.SearchAttributeNames(), "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(searchAttributesPause):
		}
	}
}
