//go:build linux

// Command scale measures what runs cost when there are many checks. It runs N checks on an API server whose nodes are
// simulated by kwok. The Temporal server is real, the roles are real processes, and the reports are sent over HTTP. It
// compares versions: -khronicle names the program to measure. `make scale` runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/khronicle/khronicle/test/scale/measure"
	"github.com/khronicle/khronicle/test/wait"
)

// settle is the time after the window in which late runs may still start and end.
const settle = 15 * time.Second

func main() {
	o, err := readOptions(os.Args[1:], os.Stderr)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "scale:", err)
		}
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	result, err := run(ctx, o)
	stop()
	if err == nil {
		err = errors.Join(result.Write(os.Stdout), write(o.out, result), hangProblems(result))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

var began = time.Now()

// progress writes a line with the time since the start of the program.
func progress(format string, args ...any) {
	fmt.Printf("%6s  %s\n", time.Since(began).Round(time.Second), fmt.Sprintf(format, args...))
}

// run does it all. An error means that nothing was measured.
func run(ctx context.Context, o options) (*measure.Result, error) {
	s, err := newStack(o)
	if err != nil {
		return nil, err
	}
	defer s.down()
	if err := s.up(ctx); err != nil {
		return nil, err
	}
	player := newPlayer(s.core, o.work)
	playing, stopPlaying := context.WithCancel(ctx)
	defer stopPlaying()
	go player.run(playing)
	idle, err := s.measure(ctx, "measuring the idle shares, without checks", o.idle)
	if err != nil {
		return nil, err
	}
	progress("applying %d checks", o.checks)
	if err := s.applyChecks(ctx); err != nil {
		return nil, err
	}
	if err := s.pass(ctx, "warming up", o.warm); err != nil {
		return nil, err
	}
	closePages, err := s.openPages(ctx)
	if err != nil {
		return nil, err
	}
	mark, posts := player.mark()
	window, hung, err := s.measureWindow(ctx)
	pages := closePages()
	if err != nil {
		return nil, err
	}
	did := player.since(mark, posts)
	if err := s.pass(ctx, "waiting for late runs", settle); err != nil {
		return nil, err
	}
	result, err := s.result(ctx, idle, window, did)
	if err == nil && pages != nil {
		result.SetPages(*pages, window.used(partReportAPI))
	}
	if err == nil && o.hangFor > 0 {
		result.Hang, err = s.judgeHang(ctx, hung, window.before.at, window.after.at)
	}
	return result, err
}

// span is a part of the measurement, between two samples.
type span struct{ before, after sample }

func (s *stack) measure(ctx context.Context, what string, d time.Duration) (span, error) {
	return s.measureWhile(ctx, func() error { return s.pass(ctx, what, d) })
}

func (s *stack) measureWhile(ctx context.Context, do func() error) (m span, err error) {
	if m.before, err = s.sample(ctx); err != nil {
		return m, err
	}
	if err := do(); err != nil {
		return m, err
	}
	m.after, err = s.sample(ctx)
	return m, err
}

// measureWindow measures the window, in which the database of the ledger may hang.
func (s *stack) measureWindow(ctx context.Context) (m span, h hang, err error) {
	if s.hangFor == 0 {
		m, err = s.measure(ctx, "measuring", s.window)
		return m, h, err
	}
	m, err = s.measureWhile(ctx, func() (err error) {
		h, err = s.hangLedger(ctx)
		return err
	})
	return m, h, err
}

// pass lets the time pass, and looks whether all parts live.
func (s *stack) pass(ctx context.Context, what string, d time.Duration) error {
	progress("%s for %s", what, d)
	for end := time.Now().Add(d); time.Now().Before(end); {
		if !wait.Sleep(ctx, min(time.Until(end), 5*time.Second)) {
			return ctx.Err()
		}
		if err := s.died(); err != nil {
			return err
		}
	}
	return nil
}

func (s *stack) result(ctx context.Context, idle, window span, did played) (*measure.Result, error) {
	from, until := window.before.at, window.after.at
	progress("collecting the runs")
	f, err := s.collect(ctx, from, until)
	if err != nil {
		return nil, err
	}
	if len(f.schedules) != s.checks {
		return nil, fmt.Errorf("list of schedules in Temporal: %d checks, want %d", len(f.schedules), s.checks)
	}
	ticks := f.ticks(from, until)
	r := &measure.Result{
		Version: s.version(ctx), Arguments: os.Args[1:], Time: from.UTC().Truncate(time.Second), Store: "sqlite", Checks: s.checks,
		IntervalSeconds: s.interval.Seconds(), WarmUpSeconds: s.warm.Seconds(), WindowSeconds: until.Sub(from).Seconds(),
		IdleSeconds: idle.after.at.Sub(idle.before.at).Seconds(),
		Due:         ticks.Due, Started: ticks.Started, Succeeded: ticks.Succeeded, Missed: ticks.Due - ticks.Started, Extra: ticks.Extra,
		Runs: f.started(from, until), Lateness: measure.QuantilesOf(ticks.Lateness), Lag: measure.QuantilesOf(f.lag),
		MachineIdle: measure.IdleShare(window.before.machine, window.after.machine), Player: did,
	}
	if s.postgres {
		r.Store = "postgres"
	}
	s.setCosts(r, idle, window)
	r.SetBytes(window.before.stored, window.after.stored)
	counts, err := s.requests(from, until)
	r.SetRequests(counts)
	return r, err
}

func (s *stack) setCosts(r *measure.Result, idle, window span) {
	var ours time.Duration
	for _, part := range []string{partTemporal, partPostgres, partWorker, partStarter, partReportAPI, partKubernetes, partKwok, partPlayer} {
		if _, has := window.after.cpu[part]; !has {
			continue
		}
		used := window.used(part)
		ours += used.CPU
		r.Costs = append(r.Costs, measure.CostOf(part, used, idle.used(part), r.Runs, window.after.rss[part]))
	}
	busy := window.after.machine.Busy - window.before.machine.Busy
	r.Others = (busy - ours).Seconds() / window.after.at.Sub(window.before.at).Seconds()
}

func (m span) used(part string) measure.Used {
	return measure.Used{CPU: m.after.cpu[part] - m.before.cpu[part], Span: m.after.at.Sub(m.before.at)}
}

// requests reads the audit log of the API server.
func (s *stack) requests(from, until time.Time) (map[string]int, error) {
	log, err := os.Open(filepath.Join(filepath.Dir(filepath.Dir(s.kubeconfig)), "log", "audit.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	return measure.Requests(log, from, until)
}

// version is what the measured program says of itself.
func (s *stack) version(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, s.khronicle, "--version").Output()
	if err != nil {
		return s.khronicle
	}
	return strings.TrimSpace(string(out))
}

func write(file string, r *measure.Result) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	progress("the result is in %s", file)
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
