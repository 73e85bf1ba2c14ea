//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	checks, namespaces    int
	interval, timeout     time.Duration
	window, warm, idle    time.Duration
	work                  time.Duration
	postgres              bool
	khronicle, bin, state string
	out                   string
	keepPods              int
	// pages is how many overview pages are open, and less than 0 where the report API shows none and reads no ledger.
	pages         int
	temporalArgs  list
	workerArgs    list
	dynamicConfig string
	// hangFor is how long the database of the ledger hangs.
	hangFor time.Duration
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string         { return strings.Join(*l, " ") }
func (l *list) Set(value string) error { *l = append(*l, value); return nil }

func readOptions(args []string, usage io.Writer) (options, error) {
	var o options
	var store string
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.IntVar(&o.checks, "n", 300, "number of checks")
	flags.IntVar(&o.namespaces, "namespaces", 5, "number of namespaces that hold the checks")
	flags.DurationVar(&o.interval, "interval", time.Minute, "interval of the checks")
	flags.DurationVar(&o.timeout, "timeout", 50*time.Second, "timeout of the checks")
	flags.DurationVar(&o.window, "for", 10*time.Minute, "length of the window that is measured")
	flags.DurationVar(&o.warm, "warm", 0, "time between the apply of the checks and the window (default: two intervals and 15s)")
	flags.DurationVar(&o.idle, "idle", 30*time.Second, "length of the measurement before the checks are applied")
	flags.DurationVar(&o.work, "work", 500*time.Millisecond, "time between the start of a pod and its report")
	flags.StringVar(&store, "store", "sqlite", "sqlite: the Temporal CLI's server and a ledger in a file; postgres: the stock Temporal server, and the ledger, in PostgreSQL")
	flags.StringVar(&o.bin, "bin", "bin", "folder with kubebox, kwok, temporal, temporal-server and temporal-sql-tool")
	flags.StringVar(&o.khronicle, "khronicle", "", "program to measure (default: khronicle in the folder of -bin)")
	flags.StringVar(&o.state, "state", ".state/scale", "folder for logs and databases; it is emptied first")
	flags.StringVar(&o.out, "out", "", "file for the result as JSON (default: .state/scale-results/STORE-N-INTERVAL.json)")
	flags.IntVar(&o.keepPods, "keep-pods", 1, "finished pods of each check that the worker leaves")
	flags.IntVar(&o.pages, "pages", -1, "overview pages that are open during the window, as in browsers, at most 64; the report API reads the ledger then, also with 0")
	flags.Var(&o.temporalArgs, "temporal-arg", "further argument of the Temporal CLI's server; the last of two with the same name holds (may be repeated)")
	flags.Var(&o.workerArgs, "worker-arg", "further argument of the worker (may be repeated)")
	flags.StringVar(&o.dynamicConfig, "dynamic-config", "deploy/temporal/dynamicconfig.yaml", "dynamic configuration of the stock Temporal server")
	flags.DurationVar(&o.hangFor, "hang-ledger", 0, "let the ledger's database hang for this time, a minute after the window begins; with it the ledger is in PostgreSQL and -for is ignored. A late tick or a missing record is then an error")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	o.postgres = store == "postgres"
	if store != "sqlite" && !o.postgres {
		return o, fmt.Errorf("-store: %q is not sqlite or postgres", store)
	}
	if err := o.validate(); err != nil {
		return o, err
	}
	return o, o.complete(store)
}

func (o *options) validate() error {
	switch {
	case o.checks < 1 || o.namespaces < 1 || o.keepPods < 0:
		return errors.New("-n and -namespaces must be at least 1, -keep-pods at least 0")
	case o.pages < -1 || o.pages > 64:
		return errors.New("-pages must be from 0 to 64; without it the report API reads no ledger")
	case o.interval < time.Second || o.timeout < time.Second || o.window < time.Second:
		return errors.New("-interval, -timeout and -for must be at least 1s")
	case o.idle < 0 || o.warm < 0 || o.work < 0 || o.hangFor < 0:
		return errors.New("-idle, -warm, -work and -hang-ledger must not be negative")
	case o.postgres && len(o.temporalArgs) > 0:
		return errors.New("-temporal-arg is for -store sqlite; the stock server is configured by -dynamic-config")
	}
	return nil
}

// name is that of the file of the result.
func (o *options) name(store string) string {
	if o.hangFor > 0 {
		return fmt.Sprintf("hang/%s-%d-%s.json", store, o.checks, o.interval)
	}
	if o.pages >= 0 {
		return fmt.Sprintf("pages/%s-%d-%s-%d.json", store, o.checks, o.interval, o.pages)
	}
	return fmt.Sprintf("%s-%d-%s.json", store, o.checks, o.interval)
}

// needsPostgres is true when the ledger is in PostgreSQL: one in a file cannot hang.
func (o *options) needsPostgres() bool { return o.postgres || o.hangFor > 0 }

// complete fills in what follows from other flags, and makes paths absolute.
func (o *options) complete(store string) error {
	if o.warm == 0 {
		// The first runs are spread over one interval. One interval later each run deletes the pod of the run before.
		o.warm = 2*o.interval + 15*time.Second
	}
	if o.hangFor > 0 {
		o.window = o.hangFor + 2*around
	}
	if o.khronicle == "" {
		o.khronicle = filepath.Join(o.bin, "khronicle")
	}
	if o.out == "" {
		o.out = filepath.Join(".state", "scale-results", o.name(store))
	}
	for _, path := range []*string{&o.bin, &o.khronicle, &o.state, &o.out, &o.dynamicConfig} {
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	needed := []string{o.khronicle, filepath.Join(o.bin, "kubebox"), filepath.Join(o.bin, "kwok"), filepath.Join(o.bin, "temporal")}
	if o.postgres {
		needed = append(needed[:3], filepath.Join(o.bin, "temporal-server"), filepath.Join(o.bin, "temporal-sql-tool"), o.dynamicConfig)
	}
	for _, path := range needed {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%w (make scale builds it)", err)
		}
	}
	return nil
}
