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

// openLedger returns the ledger that the flags name, or nil. It opens when it is run. Without it the process is not ready, but
// its runs go on.
func (p *process) openLedger() (*ledger.Ledger, error) {
	if p.ledger == "" {
		return nil, nil
	}
	opened, err := ledger.New(p.ledger, ledger.Options{Retention: p.records, Logger: p.logger})
	if err != nil {
		return nil, fmt.Errorf("--ledger: %w", err)
	}
	p.ready.Add("ledger", opened.Ping)
	p.metrics.Registry.MustRegister(telemetry.NewLedgerCollector(opened))
	return opened, nil
}

// The flags of the limits of the ledger.
const (
	flagPassAge       = "ledger-max-pass-age"
	flagFailureAge    = "ledger-max-failure-age"
	flagEvidenceAge   = "ledger-max-evidence-age"
	flagEvidenceBytes = "ledger-max-evidence-bytes"
	flagRecords       = "ledger-max-records"
)

// byteSize is the value of a flag: a number of bytes as Kubernetes writes it.
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
	// A part of a byte is not possible, and a number that is too large would become another one.
	if err != nil || size.Cmp(*resource.NewQuantity(size.Value(), resource.BinarySI)) != 0 {
		return errors.New("want a size in bytes, such as 2147483648, 2Gi or 500M")
	}
	*b = byteSize(size.Value())
	return nil
}

// checkLedger returns at the start what is wrong with the name or the limits of the ledger.
func (c *config) checkLedger() error {
	for name, age := range map[string]time.Duration{
		flagPassAge: c.records.PassesFor, flagFailureAge: c.records.FailuresFor, flagEvidenceAge: c.records.EvidenceFor,
	} {
		if age <= 0 {
			return fmt.Errorf("--%s: %s is not more than 0", name, age)
		}
	}
	for name, limit := range map[string]int64{flagRecords: c.records.MaxRows, flagEvidenceBytes: c.records.EvidenceBytes} {
		if limit <= 0 {
			return fmt.Errorf("--%s: %d is not more than 0", name, limit)
		}
	}
	if c.records.FailuresFor < c.records.PassesFor {
		return fmt.Errorf("--%s: %s is less than --%s, %s", flagFailureAge, c.records.FailuresFor, flagPassAge, c.records.PassesFor)
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

// buildVersion is the version of this program in --version and in the records.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(version, info.Main.Version)
	}
	return cmp.Or(version, "unknown")
}
