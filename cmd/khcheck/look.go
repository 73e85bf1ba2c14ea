package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/khronicle/khronicle/cmd/khcheck/settings"
	"github.com/khronicle/khronicle/external/checkclient"
)

// maxReserve is the time that a check reserves for its report, as Kuberhealthy's checks do. Of a short run it is a quarter.
const maxReserve = 5 * time.Second

// look looks once, until ctx ends, and returns one text for each fault.
type look func(ctx context.Context) []string

// check looks and reports the faults, or what is wrong with its configuration.
func check(ctx context.Context, env *settings.Env, look look) int {
	problems := env.Problems()
	deadline, err := checkclient.GetDeadline()
	if err != nil {
		problems = append(problems, err.Error())
	}
	if len(problems) > 0 {
		return report(problems)
	}
	within, cancel := context.WithDeadline(ctx, lookUntil(time.Now(), deadline))
	defer cancel()
	faults := look(within)
	if ctx.Err() != nil {
		slog.Info("interrupted before the report")
		return 1
	}
	return report(faults)
}

// lookUntil returns when a check must stop looking so that its report arrives before the deadline.
func lookUntil(now, deadline time.Time) time.Time {
	return deadline.Add(-min(maxReserve, max(0, deadline.Sub(now)/4)))
}

// report logs and reports the outcome: success if there are no faults.
func report(faults []string) int {
	slog.Info("looked", "ok", len(faults) == 0, "errors", faults)
	// A report is OK if it has no errors.
	if err := checkclient.ReportFailure(faults); err != nil {
		slog.Error("report not delivered", "error", err.Error())
		return 1
	}
	return 0
}
