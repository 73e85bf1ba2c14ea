package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/khronicle/khronicle/cmd/khcheck/demo"
	"github.com/khronicle/khronicle/cmd/khcheck/dnscheck"
	"github.com/khronicle/khronicle/cmd/khcheck/httpcheck"
	"github.com/khronicle/khronicle/cmd/khcheck/podstatus"
	"github.com/khronicle/khronicle/cmd/khcheck/settings"
	"github.com/khronicle/khronicle/cmd/khcheck/target"
)

// run runs the check that the arguments name and returns the exit code: 0 if the report was delivered, else 1.
func run(ctx context.Context, args []string) int {
	if len(args) == 2 && args[0] == "reach" {
		return reach(ctx, args[1], terminationLog)
	}
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
