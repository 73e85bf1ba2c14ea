// Command khcheck holds the checks that ship with Khronicle in one static binary. Its first argument is the check:
//
//	http        sends requests to a URL                        (package httpcheck)
//	dns         resolves names                                 (package dnscheck)
//	pod-status  names pods that are not healthy                (package podstatus)
//	demo        reports what its environment variables say     (package demo)
//	serve       no check: a web server for the examples        (package target)
//	reach URL   no check: can reports be sent to the URL? For khronicle doctor
//
// Each package documents the environment variables that configure it. A check looks once, reports once and exits. Its exit
// code is 0 when its report was delivered, whatever the report says. A wrong configuration is reported as a failure.
// A check that gets SIGTERM or SIGINT before its report sends no report, because it has not finished looking.
package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	// These certificates are for the image, which is built from scratch and has none. Certificates of the system, or of
	// SSL_CERT_FILE, are used first.
	_ "golang.org/x/crypto/x509roots/fallback"

	"github.com/khronicle/khronicle/external/checkclient"
)

func main() {
	slog.SetDefault(newLogger(os.Stdout))
	checkclient.Debug = true // the pod's log then shows the answer to the report
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// newLogger returns a logger that writes one line of JSON for each event: the time, the event and its details.
func newLogger(w io.Writer) *slog.Logger {
	rename := func(_ []string, attr slog.Attr) slog.Attr {
		switch attr.Key {
		case slog.MessageKey:
			attr.Key = "event"
		case slog.LevelKey:
			return slog.Attr{}
		}
		return attr
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: rename}))
}
