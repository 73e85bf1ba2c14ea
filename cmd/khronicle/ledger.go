package main

import (
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

// buildVersion is the version of this program, as its accounts name it.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return info.Main.Version
}
