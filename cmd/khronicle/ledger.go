package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/khronicle/khronicle/ledger"
)

// openLedger returns the ledger that the flags name, or nil. Run opens its database. While the database does not answer, the process
// is not ready, but its runs go on.
func (p *process) openLedger() (*ledger.Ledger, error) {
	if p.ledger == "" {
		return nil, nil
	}
	opened, err := ledger.New(p.ledger, ledger.Options{Retention: p.records, Logger: p.logger})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.source(flagLedger, envLedger), err)
	}
	p.ready.Add("ledger", opened.Ping)
	p.metrics.Registry.MustRegister(ledger.NewCollector(opened))
	return opened, nil
}

// ledgerToRead returns the ledger that the flags name, or nil. RunToRead opens it, which a process is ready without.
func (p *process) ledgerToRead() (*ledger.Ledger, error) {
	if p.ledger == "" {
		return nil, nil
	}
	opened, err := ledger.New(p.ledger, ledger.Options{Logger: p.logger})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.source(flagLedger, envLedger), err)
	}
	return opened, nil
}

// openToRead opens a ledger that exists, and does not change it.
func (c *config) openToRead(ctx context.Context) (*ledger.Ledger, error) {
	if c.ledger == "" {
		return nil, errors.New("--ledger: is empty; name the ledger, such as sqlite:.state/temporal/ledger.db [KHRONICLE_LEDGER]")
	}
	opened, err := ledger.OpenToRead(ctx, c.ledger)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.source(flagLedger, envLedger), err)
	}
	return opened, nil
}
