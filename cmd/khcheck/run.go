package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/khronicle/khronicle/cmd/khcheck/demo"
	"github.com/khronicle/khronicle/cmd/khcheck/dnscheck"
	"github.com/khronicle/khronicle/cmd/khcheck/httpcheck"
	"github.com/khronicle/khronicle/cmd/khcheck/podstatus"
	"github.com/khronicle/khronicle/cmd/khcheck/settings"
	"github.com/khronicle/khronicle/cmd/khcheck/target"
	"github.com/khronicle/khronicle/external/checkclient"
)

// maxReserve is the time that a check reserves for its report, as Kuberhealthy's checks do. Of a short run it is a quarter.
const maxReserve = 5 * time.Second

// look looks once, until ctx ends, and returns one text for each fault.
type look func(ctx context.Context) []string

// run runs the check that the arguments name and returns the exit code: 0 if the report was delivered, else 1.
func run(ctx context.Context, args []string) int {
	name := strings.Join(args, " ")
	env := settings.New(os.Getenv)
	switch name {
	case "serve":
		return serve(ctx)
	case "demo":
		c := demo.FromEnv(env)
		if problems := env.Problems(); problems != nil {
			return report(problems)
		}
		return c.Run(ctx)
	case "http":
		return check(ctx, env, httpcheck.FromEnv(env).Run)
	case "dns":
		return check(ctx, env, dnscheck.FromEnv(env).Run)
	case "pod-status":
		return check(ctx, env, podstatus.FromEnv(env).Run)
	default:
		return report([]string{fmt.Sprintf("unknown sub-command %q: want one of http, dns, pod-status, demo, serve", name)})
	}
}

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

// serve answers requests until ctx ends.
func serve(ctx context.Context) int {
	listener, err := net.Listen("tcp", target.Addr)
	if err == nil {
		slog.Info("serving", "address", listener.Addr().String())
		err = target.Serve(ctx, listener)
	}
	if err != nil {
		slog.Error("serve", "error", err.Error())
		return 1
	}
	return 0
}
