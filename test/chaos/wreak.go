//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/test/chaos/fault"
	"github.com/khronicle/khronicle/test/wait"
)

// tellEvery is how often the progress is printed.
const tellEvery = 15 * time.Second

// wreak does the faults of the plan and returns when each was done. When it returns, all have ended.
func (s *stack) wreak(ctx context.Context, plan []fault.Fault) []fault.Window {
	progress("the chaos begins")
	start := time.Now()
	var mu sync.Mutex
	var done []fault.Window
	var all sync.WaitGroup
	stalled := watchStalls(ctx)
	for _, f := range plan {
		all.Go(func() {
			if !wait.Sleep(ctx, time.Until(start.Add(f.At))) {
				return
			}
			window, err := s.do(ctx, f)
			if err != nil {
				progress("fault not done: %s: %v", f, err)
			}
			mu.Lock()
			defer mu.Unlock()
			done = append(done, window)
			if err != nil {
				s.notDone = append(s.notDone, fmt.Sprintf("fault not done: %s: %v", f, err))
			}
		})
	}
	all.Go(func() { s.applyLate(ctx) })
	all.Go(func() {
		for time.Since(start) < s.For && wait.Sleep(ctx, min(tellEvery, time.Until(start.Add(s.For)))) {
			mu.Lock()
			n := len(done)
			mu.Unlock()
			s.cgroupSeen = s.cgroupSeen || len(podCgroups()) > 0
			progress("%d faults of %d; %s", n, len(plan), s.tell(ctx))
		}
	})
	all.Wait()
	done = append(done, stalled()...)
	slices.SortFunc(done, func(a, b fault.Window) int { return a.From.Compare(b.From) })
	return done
}

// watchStalls watches the machine until the result is asked for.
func watchStalls(ctx context.Context) func() []fault.Window {
	ctx, over := context.WithCancel(ctx)
	result := make(chan []fault.Window, 1)
	go func() { result <- stalls(ctx) }()
	return func() []fault.Window {
		over()
		return <-result
	}
}

// stalls are the times in which the machine did not run this program. The program wants to run ten times a second. When it
// cannot, others may not have run either.
func stalls(ctx context.Context) (all []fault.Window) {
	const every, noticed = 100 * time.Millisecond, time.Second
	for last := time.Now(); wait.Sleep(ctx, every); last = time.Now() {
		if now := time.Now(); now.Sub(last) > noticed {
			progress("the machine stalled for %s", now.Sub(last).Round(time.Millisecond))
			all = append(all, fault.Window{Fault: fault.Fault{Kind: fault.Stall, Target: fault.Machine, For: now.Sub(last)}, From: last, To: now})
		}
	}
	return all
}

// do does one fault and undoes it, also when ctx ends meanwhile.
func (s *stack) do(ctx context.Context, f fault.Fault) (w fault.Window, err error) {
	w = fault.Window{Fault: f, From: time.Now()}
	defer func() { w.To = time.Now() }()
	switch {
	case f.Target == fault.Disk:
		err = s.disk.fill()
		wait.Sleep(ctx, f.For)
		if emptied := s.disk.empty(); emptied != nil {
			err = emptied
		}
	case slices.Contains(fault.Components, f.Target):
		err = s.doComponent(ctx, f)
	case f.Kind == fault.Refuse || f.Kind == fault.Freeze || f.Kind == fault.Slow:
		for _, target := range f.Target.Parts(s.Postgres) {
			s.links[target].Cut(f.Kind)
			defer s.links[target].Mend(f.Kind)
		}
		wait.Sleep(ctx, f.For)
	default:
		s.doProcess(ctx, f)
	}
	return w, err
}

func (s *stack) doProcess(ctx context.Context, f fault.Fault) {
	p := s.processes[f.Target]
	if f.Kind == fault.Stop {
		p.signal(syscall.SIGSTOP)
		wait.Sleep(ctx, f.For)
		p.signal(syscall.SIGCONT)
		return
	}
	before, _ := p.lives()
	p.kill(f.For)
	wait.Until(ctx, f.For+10*time.Second, func() bool {
		starts, alive := p.lives()
		return starts > before && alive
	})
}

// doComponent works by kubebox, which starts by itself what was killed.
func (s *stack) doComponent(ctx context.Context, f fault.Fault) error {
	always := context.WithoutCancel(ctx)
	begin, end := []string{"kill", string(f.Target), "--signal", "KILL", "--hold"}, []string{"start", string(f.Target)}
	if f.Kind == fault.Stop {
		begin, end = []string{"kill", string(f.Target), "--signal", "STOP"}, []string{"kill", string(f.Target), "--signal", "CONT"}
	}
	if _, err := s.kubebox(always, begin...); err != nil {
		return err
	}
	wait.Sleep(ctx, f.For)
	_, err := s.kubebox(always, end...)
	return err
}

// tell says how many rows there are, where they can be read at this moment.
func (s *stack) tell(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	records, err := ledger.OpenToRead(ctx, s.ledgerDSN())
	if err != nil {
		return "the ledger cannot be read now"
	}
	defer records.Close()
	summaries, err := records.Overview(ctx, time.Now())
	if err != nil {
		return "the ledger cannot be read now"
	}
	rows := map[string]int64{}
	for _, summary := range summaries {
		rows["open"] += int64(summary.Running)
		for name, n := range outcomesOf(summary.Day) {
			rows[name] += n
		}
	}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		if rows[name] > 0 {
			texts = append(texts, fmt.Sprintf("%d %s", rows[name], name))
		}
	}
	return "rows: " + strings.Join(texts, ", ")
}
