package main

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/khronicle/khronicle/internal/duration"
	"github.com/khronicle/khronicle/worker"
)

// Flags whose values may also come from a variable.
const (
	flagDeadmanURL   = "deadman-url"
	envDeadmanURL    = "KHRONICLE_DEADMAN_URL"
	flagReportingURL = "reporting-url"
	envReportingURL  = "KH_EXTERNAL_REPORTING_URL"
	flagNamespace    = "namespace"
	envNamespace     = "POD_NAMESPACE"
	flagLedger       = "ledger"
	envLedger        = "KHRONICLE_LEDGER"
)

// The flags of the limiter, and their defaults. A cluster of some hundred nodes starts 50 pods per second without being busy.
const (
	flagPodStarts      = "max-pod-starts-per-second"
	flagRunningPods    = "max-running-pods"
	defaultPodStarts   = 50
	defaultRunningPods = 1000
)

// addLedgerFlag adds the flag of the commands that read or write the ledger.
func (c *config) addLedgerFlag(f *pflag.FlagSet) {
	f.StringVar(&c.ledger, flagLedger, c.ledger, "database with the record of each tick and run, sqlite:PATH or postgres://…; without it the records are neither written nor shown ["+envLedger+"]")
	hideDefault(f, flagLedger)
}

// addReportingURLFlag adds the flag of the commands that make checker pods or judge them.
func (c *config) addReportingURLFlag(f *pflag.FlagSet) {
	f.StringVar(&c.reportingURL, flagReportingURL, c.reportingURL, "URL to which checker pods send their reports ["+envReportingURL+"]")
}

// hideDefault removes the default of a flag from --help, because it may be a secret of the environment.
func hideDefault(f *pflag.FlagSet, name string) { f.Lookup(name).DefValue = "" }

// addRunFlags adds the flags of the worker.
func (c *config) addRunFlags(f *pflag.FlagSet) {
	f.StringVar(&c.namespace, flagNamespace, c.namespace, "namespace of this process, part of the default reporting URL ["+envNamespace+"]")
	c.addReportingURLFlag(f)
	c.addLedgerFlag(f)
	f.DurationVar(&c.records.PassesFor, flagPassAge, c.records.PassesFor, "the ledger keeps the records of successful, skipped and paused runs this long")
	f.DurationVar(&c.records.FailuresFor, flagFailureAge, c.records.FailuresFor, "the ledger keeps the records of missed runs, of failed runs and of runs with a failed attempt this long")
	f.DurationVar(&c.records.EvidenceFor, flagEvidenceAge, c.records.EvidenceFor, "the ledger keeps the evidence of failed runs this long")
	f.Var((*byteSize)(&c.records.EvidenceBytes), flagEvidenceBytes, "the ledger keeps this much evidence, such as 500Mi, and removes the oldest beyond that")
	f.Int64Var(&c.records.MaxRows, flagRecords, c.records.MaxRows, "the ledger keeps this many records; beyond that it removes the oldest, those of successful runs first")
	f.StringVar(&c.deadmanURL, flagDeadmanURL, c.deadmanURL, "URL that a worker requests every 30 s while Temporal and the worker work, such as https://hc-ping.com/UUID ["+envDeadmanURL+"]")
	hideDefault(f, flagDeadmanURL)
	f.Float64Var(&c.podStarts, flagPodStarts, defaultPodStarts, "how many checker pods a worker starts per second; further runs wait; 0 means no limit")
	f.IntVar(&c.runningPods, flagRunningPods, defaultRunningPods, "how many checker pods may run at once in the cluster; further runs wait; 0 means no limit")
	f.DurationVar(&c.reapInterval, flagReapInterval, c.reapInterval, "time between two searches for old pods and jobs ["+envReapInterval+"]")
	f.IntVar(&c.retention.MaxCompletedPods, "max-completed-pods", c.retention.MaxCompletedPods, "how many Succeeded pods of each check are kept")
	f.IntVar(&c.retention.MaxErrorPods, "max-error-pods", c.retention.MaxErrorPods, "how many Failed pods of each check are kept")
	f.DurationVar(&c.retention.MaxPodAge, "max-check-pod-age", c.retention.MaxPodAge, "how long finished pods are kept; 0 means for ever")
	f.DurationVar(&c.retention.MaxJobAge, "max-job-age", c.retention.MaxJobAge, "how long completed jobs are kept; 0 means for ever")
}

// flagReapInterval and envReapInterval set the time between two searches for old pods and jobs.
const (
	flagReapInterval = "reap-interval"
	envReapInterval  = "CHECK_REAPER_RUN_INTERVAL"
)

// parseReapInterval reads the variable as Kuberhealthy does: 0 means the default.
func parseReapInterval(text string) (interval time.Duration, fault string) {
	if text == "" {
		return worker.DefaultReapInterval, ""
	}
	interval, err := time.ParseDuration(text)
	if err != nil || interval <= 0 {
		return worker.DefaultReapInterval, fmt.Sprintf("%q is not a duration of more than 0 such as %q%s", text, "30s", duration.Hint(text))
	}
	return interval, ""
}
