//go:build linux

// Command chaos is the crash tests of the ledger. It runs checks on a real cluster (tools/kubebox), with a real Temporal
// server and the real roles. It kills them, stops them and cuts them off at random moments, and fills the disk of the
// ledger. Then it proves from what remains that nothing was lost, doubled or guessed. `make chaos` runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/khronicle/khronicle/test/chaos/fault"
	"github.com/khronicle/khronicle/test/chaos/proof"
)

// options are the flags.
type options struct {
	fault.Options
	checks            int
	interval, timeout time.Duration
	ledger            string
	bin, state        string
	// facts is a file with the facts of an earlier run, to prove them again.
	facts string
	// store is where the disk of the ledger is mounted; short, because the path of a socket is below it.
	store string
}

func main() {
	o, err := readOptions(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	judge := run
	if o.facts != "" {
		judge = judgeAgain
	}
	result, err := judge(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
	show(os.Stdout, result)
	if len(result.Violations) > 0 {
		os.Exit(1)
	}
}

func readOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.Uint64Var(&o.Seed, "seed", 1, "decides what is done, and when")
	flags.IntVar(&o.checks, "checks", 30, "how many checks run")
	flags.DurationVar(&o.interval, "interval", 10*time.Second, "interval of the checks")
	flags.DurationVar(&o.timeout, "timeout", 12*time.Second, "timeout of the checks")
	flags.DurationVar(&o.For, "for", 10*time.Minute, "how long the chaos lasts")
	flags.DurationVar(&o.Every, "fault-every", 15*time.Second, "time between two faults, on average")
	flags.DurationVar(&o.Hang, "hang", -1, "how long the ledger's PostgreSQL hangs: once it is stopped, once its connections are cut. 0 means never. The default is 2m, and 0 if -for is below 5m")
	flags.StringVar(&o.ledger, "ledger", "sqlite", "sqlite or postgres")
	flags.StringVar(&o.bin, "bin", "bin", "folder with khronicle, kubebox, temporal and chaos-check")
	flags.StringVar(&o.state, "state", ".state/chaos", "folder for logs, journals and facts")
	flags.StringVar(&o.facts, "judge", "", "judge the facts of an earlier run again: a file facts.json")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.Postgres = o.ledger == "postgres"
	if o.Hang < 0 {
		o.Hang = defaultHang(o.For)
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case o.ledger != "sqlite" && !o.Postgres:
		return o, fmt.Errorf("-ledger: %q is not sqlite or postgres", o.ledger)
	case o.checks < 1 || o.interval < time.Second || o.timeout < time.Second || o.For < time.Second || o.Every < time.Second:
		return o, errors.New("-checks must be at least 1, and each duration at least 1s")
	}
	var err error
	if o.bin, err = filepath.Abs(o.bin); err != nil {
		return o, err
	}
	if o.state, err = filepath.Abs(filepath.Join(o.state, fmt.Sprintf("%s-%d", o.ledger, o.Seed))); err != nil {
		return o, err
	}
	kubeboxState := os.Getenv("KUBEBOX_STATE")
	if kubeboxState == "" {
		kubeboxState = "/var/tmp/kubebox"
	}
	o.store = filepath.Join(kubeboxState, "chaos-store")
	return o, nil
}

func defaultHang(lasts time.Duration) time.Duration {
	if lasts < 5*time.Minute {
		return 0
	}
	return 2 * time.Minute
}

// judgeAgain proves what is kept of an earlier run.
func judgeAgain(_ context.Context, o options) (result proof.Result, err error) {
	text, err := os.ReadFile(o.facts)
	if err != nil {
		return result, err
	}
	var f proof.Facts
	if err := json.Unmarshal(text, &f); err != nil {
		return result, fmt.Errorf("%s: %w", o.facts, err)
	}
	return proof.Prove(f), nil
}

// run does it all. An error means that nothing was proved.
func run(ctx context.Context, o options) (result proof.Result, err error) {
	plan := fault.Plan(o.Options)
	announce(o, plan)
	s, err := newStack(o)
	if err != nil {
		return result, err
	}
	defer func() {
		if downErr := s.down(); downErr != nil {
			err = errors.Join(err, downErr)
		}
	}()
	if err := s.up(ctx); err != nil {
		return result, err
	}
	if err := s.applyChecks(ctx); err != nil {
		return result, err
	}
	f := proof.Facts{}
	f.Faults = s.wreak(ctx, plan)
	f.Ended = time.Now()
	if ctx.Err() != nil {
		return result, ctx.Err()
	}
	progress("the chaos is over; waiting until everything has come to rest")
	f.Unsettled = append(s.settle(ctx, f.Ended), s.notDone...)
	progress("collecting what is left")
	if err := s.collect(ctx, &f); err != nil {
		return result, err
	}
	progress("deleting the checks")
	f.Left = s.deleteChecks(ctx)
	if err := ctx.Err(); err != nil {
		return result, err
	}
	if err := s.down(); err != nil {
		f.Left = append(f.Left, err.Error())
	}
	f.Left = append(f.Left, s.remains()...)
	result = proof.Prove(f)
	return result, s.keep(f, result)
}
