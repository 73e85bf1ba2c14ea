package main

import (
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/khronicle/khronicle/ledger"
)

// The flags of the limits of the ledger.
const (
	flagPassAge       = "ledger-max-pass-age"
	flagFailureAge    = "ledger-max-failure-age"
	flagEvidenceAge   = "ledger-max-evidence-age"
	flagEvidenceBytes = "ledger-max-evidence-bytes"
	flagRecords       = "ledger-max-records"
)

// checkLedger returns an error if the name or a limit of the ledger is wrong.
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
		return fmt.Errorf("%s: %w", c.source(flagLedger, envLedger), err)
	}
	return nil
}

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
	// Fractions of a byte are refused, and numbers that are too large for 64 bits.
	if err != nil || size.Cmp(*resource.NewQuantity(size.Value(), resource.BinarySI)) != 0 {
		return errors.New("want a size in bytes, such as 2147483648, 2Gi or 500M")
	}
	*b = byteSize(size.Value())
	return nil
}
