//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/khronicle/khronicle/test/chaos/fault"
	"github.com/khronicle/khronicle/test/chaos/proof"
)

var began = time.Now()

// progress writes a line with the time since the start of the program.
func progress(format string, args ...any) {
	fmt.Printf("%6s  %s\n", time.Since(began).Round(time.Second), fmt.Sprintf(format, args...))
}

func announce(o options, plan []fault.Fault) {
	fmt.Printf("seed %d: %d checks every %s with a timeout of %s, for %s, ledger %s, %d faults:\n",
		o.Seed, o.checks, o.interval, o.timeout, o.For, o.ledger, len(plan))
	for _, f := range plan {
		fmt.Println(" ", f)
	}
}

// show writes the figures, and every violation in words.
func show(w io.Writer, r proof.Result) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Figures {
		fmt.Fprintf(table, "%s\t%d\n", f.Name, f.Count)
	}
	_ = table.Flush() // to a terminal or a file, as everything else here
	for _, v := range r.Violations {
		fmt.Fprintf(w, "VIOLATION %s: %s\n", v.Rule, v.Text)
	}
}

// keep writes the facts and the result to the state folder, so that people can read them and the proof can be run again.
func (s *stack) keep(f proof.Facts, r proof.Result) error {
	for name, what := range map[string]any{"facts.json": f, "result.json": r} {
		text, err := json.MarshalIndent(what, "", " ")
		if err != nil {
			return fmt.Errorf("keep %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(s.state, name), text, 0o644); err != nil {
			return fmt.Errorf("keep the facts: %w", err)
		}
	}
	progress("the facts are in %s", s.state)
	return nil
}
