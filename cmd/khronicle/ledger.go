package main

import (
	"cmp"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/khronicle/khronicle/internal/telemetry"
	"github.com/khronicle/khronicle/ledger"
)

// openLedger returns the ledger that the flags name, which opens by itself, or nil. The process is not ready without it,
// but its runs go on.
func (p *process) openLedger() *ledger.Late {
	if p.ledger == "" {
		return nil
	}
	kept := ledger.NewLate(p.ledger, p.accounts)
	p.ready.Add("ledger", kept.Ping)
	p.metrics.Registry.MustRegister(telemetry.NewLedgerCollector(kept))
	return kept
}

// The flags that say what is kept in the ledger.
const (
	flagPassAge       = "ledger-max-pass-age"
	flagFailureAge    = "ledger-max-failure-age"
	flagEvidenceAge   = "ledger-max-evidence-age"
	flagEvidenceBytes = "ledger-max-evidence-bytes"
	flagAccounts      = "ledger-max-accounts"
)

// byteSize is a number of bytes, which a flag gives as Kubernetes writes sizes.
type byteSize int64

// String is part of pflag.Value.
func (b *byteSize) String() string {
	return resource.NewQuantity(int64(*b), resource.BinarySI).String()
}

// Type is part of pflag.Value.
func (b *byteSize) Type() string { return "quantity" }

// Set is part of pflag.Value.
func (b *byteSize) Set(text string) error {
	size, err := resource.ParseQuantity(text)
	// Parts of a byte are none, and what is too large would be another number.
	if err != nil || size.Cmp(*resource.NewQuantity(size.Value(), resource.BinarySI)) != 0 {
		return errors.New("want a size in bytes, such as 2147483648, 2Gi or 500M")
	}
	*b = byteSize(size.Value())
	return nil
}

// checkLedger says at the start what is wrong with the name of the ledger, or with what it shall keep.
func (c *config) checkLedger() error {
	for name, age := range map[string]time.Duration{
		flagPassAge: c.accounts.PassesFor, flagFailureAge: c.accounts.FailuresFor, flagEvidenceAge: c.accounts.EvidenceFor,
	} {
		if age <= 0 {
			return fmt.Errorf("--%s: %s is not more than 0", name, age)
		}
	}
	for name, limit := range map[string]int64{flagAccounts: c.accounts.MaxRows, flagEvidenceBytes: c.accounts.EvidenceBytes} {
		if limit <= 0 {
			return fmt.Errorf("--%s: %d is not more than 0", name, limit)
		}
	}
	if c.accounts.FailuresFor < c.accounts.PassesFor {
		return fmt.Errorf("--%s: %s is less than --%s, %s", flagFailureAge, c.accounts.FailuresFor, flagPassAge, c.accounts.PassesFor)
	}
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
