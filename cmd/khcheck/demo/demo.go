// Package demo is a check that looks at nothing. What it reports, and when, stands in its environment variables. Tests and
// examples use it for every way in which a check can end. Unlike a real check it ignores the deadline.
package demo

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/khronicle/khronicle/cmd/khcheck/settings"
	"github.com/khronicle/khronicle/external/checkclient"
)

// defaultFault is what Kuberhealthy's test-check reports.
const defaultFault = "Test has failed!"

// Config says how the check behaves. FromEnv documents the variables and defaults.
type Config struct {
	// Errors are the texts of the report. An empty list reports success.
	Errors []string
	// SkipReport makes the check end without a report.
	SkipReport bool
	// ReportDelay is the time before the report. ExitDelay is the time after the report.
	ReportDelay, ExitDelay time.Duration
	// ExitCode is the exit code of the process, whatever it reported.
	ExitCode int
	// LogLines is how many numbered lines the check writes to Out at the start.
	LogLines int
	Out      io.Writer
}

// FromEnv reads the configuration. REPORT_FAILURE and REPORT_DELAY are variables of Kuberhealthy's test-check too:
//
//	REPORT_FAILURE  true reports failure (false; true if REPORT_ERRORS is set)
//	REPORT_ERRORS   texts of the failure, separated by |; empty texts count too (Test has failed!)
//	REPORT_DELAY    time before the report (0s)
//	SKIP_REPORT     true ends without a report (false)
//	EXIT_DELAY      time to stay after the report (0s)
//	EXIT_CODE       exit code from 0 to 255 (0)
//	LOG_LINES       numbered lines to write to standard output at the start, up to 1000000 (0)
func FromEnv(env *settings.Env) Config {
	texts := env.String("REPORT_ERRORS", "")
	c := Config{
		SkipReport:  env.Bool("SKIP_REPORT", false),
		ReportDelay: env.Duration("REPORT_DELAY", 0),
		ExitDelay:   env.Duration("EXIT_DELAY", 0),
		ExitCode:    env.Int("EXIT_CODE", 0, 0, 255),
		LogLines:    env.Int("LOG_LINES", 0, 0, 1_000_000),
		Out:         os.Stdout,
	}
	switch fail := env.Bool("REPORT_FAILURE", texts != ""); {
	case fail && texts != "":
		c.Errors = strings.Split(texts, "|")
	case fail:
		c.Errors = []string{defaultFault}
	}
	return c
}

// Run does what the configuration says and returns the exit code: 1 instead of 0 if the report was not delivered. If ctx ends
// before the report, no report is sent.
func (c Config) Run(ctx context.Context) int {
	slog.Info("started", "ok", len(c.Errors) == 0, "report_delay", c.ReportDelay.String(), "exit_delay", c.ExitDelay.String())
	for i := range c.LogLines {
		fmt.Fprintf(c.Out, "line %d of %d\n", i+1, c.LogLines)
	}
	if !sleep(ctx, c.ReportDelay) {
		slog.Info("interrupted before the report")
		return max(c.ExitCode, 1)
	}
	code := c.ExitCode
	if err := c.report(); err != nil {
		slog.Error("report not delivered", "error", err.Error())
		code = max(code, 1)
	}
	if !sleep(ctx, c.ExitDelay) {
		slog.Info("interrupted before the end")
	}
	slog.Info("ended", "exit_code", code)
	return code
}

func (c Config) report() error {
	if c.SkipReport {
		slog.Info("report skipped")
		return nil
	}
	// A report is OK if it has no errors.
	return checkclient.ReportFailure(c.Errors)
}

// sleep waits. It returns false if ctx ends first.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
