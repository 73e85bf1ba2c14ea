package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/khronicle/khronicle/ledger"
)

// ledgerUse is what a role does with the ledger.
type ledgerUse int

const (
	noLedger ledgerUse = iota
	readsLedger
	writesLedger
)

// openLedger sets p.stored to the ledger that the flags name, if a role needs one. The roles of one process share it. Its database
// is opened in the background. While that does not answer, a process that writes is not ready, but its runs go on.
func (p *process) openLedger(ctx context.Context, roles []role) (closeLedger func(), err error) {
	use := noLedger
	for _, r := range roles {
		use = max(use, r.ledger)
	}
	if p.ledger == "" || use == noLedger {
		return func() {}, nil
	}
	if p.stored, err = ledger.New(p.ledger, ledger.Options{Retention: p.records, Logger: p.logger}); err != nil {
		return nil, fmt.Errorf("%s: %w", p.source(flagLedger, envLedger), err)
	}
	run := p.stored.RunToRead
	if use == writesLedger {
		run = p.stored.Run
		p.ready.Add("ledger", p.stored.Ping)
		p.metrics.Registry.MustRegister(ledger.NewCollector(p.stored))
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var ended sync.WaitGroup
	ended.Go(func() { run(running) })
	return func() { stop(); ended.Wait() }, nil
}
