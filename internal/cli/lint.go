package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/khronicle/khronicle/internal/lint"
)

// LintOptions say what counts as wrong, and how findings are written.
type LintOptions struct {
	// Strict makes warnings an error.
	Strict bool
	Format Format
	// ReportingURL is where checks report. Empty means where they report by default.
	ReportingURL string
	// Judge is nil when no API server is asked.
	Judge *Judge
}

// Judge is an API server that judges objects and pods.
type Judge struct {
	lint.Server
	// Name says which one it is, such as "context kind-kind, https://127.0.0.1:6443".
	Name string
	// Namespace is that of objects without one.
	Namespace string
}

// Lint writes the findings in the manifests that args name: files, directories, or - for in. It returns an error if there is a
// finding that counts, or if the API server could not be asked.
func Lint(ctx context.Context, in io.Reader, out io.Writer, o LintOptions, args []string) error {
	linter := lint.New(time.Now())
	linter.ReportingURL = cmp.Or(o.ReportingURL, linter.ReportingURL)
	manifests{linter: linter, input: in, seen: map[string]bool{}}.read(args)
	var unasked error
	if o.Judge != nil {
		if err := linter.Ask(ctx, o.Judge, o.Judge.Namespace, time.Now()); err != nil {
			unasked = fmt.Errorf("ask the API server of %s: %w", o.Judge.Name, err)
		}
	}
	report := linter.Report()
	if err := writeFindings(out, report, o); err != nil {
		return fmt.Errorf("write findings: %w", err)
	}
	if unasked != nil {
		return unasked
	}
	if wrong := report.Count(lint.Error); wrong > 0 {
		return errors.New("lint: " + lint.Plural(wrong, "error"))
	}
	if doubtful := report.Count(lint.Warning); o.Strict && doubtful > 0 {
		return errors.New("lint: " + lint.Plural(doubtful, "warning") + ", with --strict")
	}
	return nil
}

// writeFindings writes the findings as JSON, or one a line with a summary.
func writeFindings(out io.Writer, report lint.Report, o LintOptions) error {
	if o.Format == JSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(append([]lint.Finding{}, report.Findings...))
	}
	for _, finding := range report.Findings {
		if _, err := fmt.Fprintln(out, finding); err != nil {
			return err
		}
	}
	by := "the pods were not validated by an API server (--server)"
	if o.Judge != nil {
		by = "validated by the API server of " + o.Judge.Name
	}
	_, err := fmt.Fprintf(out, "%s; %s\n", report.Summary(), by)
	return err
}
