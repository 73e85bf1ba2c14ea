package main

import (
	"cmp"
	"fmt"
	"runtime/debug"

	"github.com/khronicle/khronicle/internal/telemetry"
	"github.com/khronicle/khronicle/ledger"
)

// openLedger returns the ledger that the flags name, which opens by itself, or nil. The process is not ready without it,
// but its runs go on.
func (p *process) openLedger() *ledger.Late {
	if p.ledger == "" {
		return nil
	}
	kept := ledger.NewLate(p.ledger, ledger.Retention{})
	p.ready.Add("ledger", kept.Ping)
	p.metrics.Registry.MustRegister(telemetry.NewLedgerCollector(kept))
	return kept
}

// checkLedger says at the start what is wrong with the name of the ledger.
func (c *config) checkLedger() error {
	if c.ledger == "" {
		return nil
	}
	if _, _, err := ledger.SQLitePath(c.ledger); err != nil {
		return fmt.Errorf("--ledger: %w", err)
	}
	return nil
}

// version is set by the build, to a tag or commit.
var version string

// buildVersion is the version of this program, as --version and its accounts name it.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(version, info.Main.Version)
	}
	return cmp.Or(version, "unknown")
}
