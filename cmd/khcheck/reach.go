package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	// reachWithin is how long the report API may take to answer.
	reachWithin = 10 * time.Second
	// terminationLog is the file whose content Kubernetes shows as the message of a container that has ended.
	terminationLog = "/dev/termination-log"
)

// reach asks for a reporting URL without sending a report, for khronicle doctor. It returns 0 if reports may be posted there, else
// 1, and writes why not to the termination message.
func reach(ctx context.Context, address, message string) int {
	err := offersReports(ctx, address)
	if err == nil {
		slog.Info("reached", "url", address)
		return 0
	}
	slog.Error("not reached", "error", err.Error())
	if err := os.WriteFile(message, []byte(err.Error()+"\n"), 0o644); err != nil {
		slog.Error("write the termination message", "error", err.Error())
	}
	return 1
}

// offersReports returns nil if the URL takes POST requests. The report API answers a GET with 405 and the methods that it takes.
// As reports do, the request uses no proxy.
func offersReports(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	if response.StatusCode == http.StatusMethodNotAllowed && strings.Contains(response.Header.Get("Allow"), http.MethodPost) {
		return nil
	}
	return fmt.Errorf("%s answers %s, not as the report API does", address, response.Status)
}
