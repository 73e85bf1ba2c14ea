package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/khronicle/khronicle/internal/lint"
)

// LintOptions say what counts as wrong, and how findings are written.
type LintOptions struct {
	// Strict makes warnings an error.
	Strict bool
	Format Format
}

// Lint writes the findings in the manifests that args name: files, directories, or - for in. It returns an error if there is a
// finding that counts.
func Lint(in io.Reader, out io.Writer, o LintOptions, args []string) error {
	linter := lint.New()
	manifests{linter: linter, input: in, seen: map[string]bool{}}.read(args)
	report := linter.Report()
	if err := writeFindings(out, report, o.Format); err != nil {
		return fmt.Errorf("write findings: %w", err)
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
func writeFindings(out io.Writer, report lint.Report, format Format) error {
	if format == JSON {
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
	_, err := fmt.Fprintln(out, report.Summary())
	return err
}
