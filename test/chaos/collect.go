//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khcheck "github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/test/chaos/journal"
	"github.com/khronicle/khronicle/test/chaos/proof"
)

// outcomesOf names the counts.
func outcomesOf(c ledger.Counts) map[string]int64 {
	return map[string]int64{
		"succeeded": c.Succeeded, "failed": c.Failed, "infra-failed": c.InfraFailed, "timed-out": c.TimedOut,
		"skipped": c.Skipped, "missed": c.Missed, "canceled": c.Canceled, "paused": c.Paused,
	}
}

// collect reads all facts.
func (s *stack) collect(ctx context.Context, f *proof.Facts) error {
	for _, step := range []func(context.Context, *proof.Facts) error{
		s.collectLedger, s.collectStates, s.collectTemporal, s.collectJournals, s.collectLogs,
	} {
		if err := step(ctx, f); err != nil {
			return fmt.Errorf("collect what is left: %w", err)
		}
	}
	return nil
}

func (s *stack) collectLedger(ctx context.Context, f *proof.Facts) error {
	return s.read(ctx, func(records *ledger.Ledger) error {
		summaries, err := records.Overview(ctx, time.Now())
		if err != nil {
			return err
		}
		for _, summary := range summaries {
			rows, err := records.LastRuns(ctx, summary.Ref, 1<<20)
			if err != nil {
				return err
			}
			f.Rows = append(f.Rows, rows...)
		}
		found, err := records.Verify(ctx, time.Now())
		f.Ledger = found.Problems
		return err
	})
}

func (s *stack) collectStates(ctx context.Context, f *proof.Facts) error {
	list, err := s.group.States(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, state := range list.Items {
		began, err := time.Parse(time.RFC3339Nano, state.Annotations[khcheck.AnnotationRunStarted])
		if err != nil {
			return fmt.Errorf("state %s: %w", state.Name, err)
		}
		f.States = append(f.States, proof.State{
			Check: state.Name, OK: state.Spec.OK, Errors: state.Spec.Errors, UUID: state.Spec.CurrentUUID, RunStarted: began,
		})
	}
	checks, err := s.group.Checks(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, c := range checks.Items {
		f.Checks = append(f.Checks, proof.Check{Name: c.Name, UID: string(c.UID)})
	}
	return nil
}

func (s *stack) collectJournals(_ context.Context, f *proof.Facts) (err error) {
	f.Journals, err = journal.Read(s.journals())
	return err
}

// bad are the words of log lines that no fault explains.
var bad = []string{"panic: ", "fatal error: ", "DATA RACE", "nondeterministic", "TMPRL1100", "the ledger refuses"}

func (s *stack) collectLogs(_ context.Context, f *proof.Facts) error {
	for _, role := range s.roles() {
		file, err := os.Open(s.logOf(role))
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if text := lines.Text(); slices.ContainsFunc(bad, func(word string) bool { return strings.Contains(text, word) }) {
				f.Logs = append(f.Logs, fmt.Sprintf("%s: %.1000s", role, text))
			}
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("read the log of %s: %w", role, err)
		}
		_ = file.Close() // it was only read
	}
	return nil
}
