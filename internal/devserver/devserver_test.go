package devserver_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/internal/devserver"
)

func TestArgsHaveTheSettingsOfTheServer(t *testing.T) {
	o := devserver.Options{Binary: "temporal", StateDir: "/state", Port: 7233, UIPort: 8233}
	want := []string{
		"server", "start-dev", "--ip", "127.0.0.1", "--port", "7233", "--ui-port", "8233",
		"--db-filename", "/state/temporal.db", "--log-level", "error",
		"--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal",
		"--sqlite-pragma", "cache_size=-65536", "--sqlite-pragma", "temp_store=memory", "--sqlite-pragma", "wal_autocheckpoint=8000",
		"--dynamic-config-value", "system.enableActivityEagerExecution=true",
		"--dynamic-config-value", "system.forceSearchAttributesCacheRefreshOnRead=false",
		"--dynamic-config-value", "matching.numTaskqueueReadPartitions=1",
		"--dynamic-config-value", "matching.numTaskqueueWritePartitions=1",
		"--search-attribute", "KhCheck=Keyword", "--search-attribute", "KhNamespace=Keyword", "--search-attribute", "KhOutcome=Keyword",
		"--search-attribute", "KhRecord=Keyword", "--search-attribute", "KhReported=Keyword",
	}
	if diff := cmp.Diff(want, o.Args()); diff != "" {
		t.Errorf("arguments differ (-want +got):\n%s", diff)
	}
}

// server returns options with a shell script in place of Temporal's CLI.
func server(t *testing.T, script string) devserver.Options {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "temporal")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return devserver.Options{Binary: binary, StateDir: filepath.Join(dir, "deep", "state"), Port: 17233, UIPort: 18233}
}

func logOf(t *testing.T, o devserver.Options) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(o.StateDir, "temporal.log"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(content)
}

// awaitLog waits until the log of the server has a text that many times.
func awaitLog(t *testing.T, o devserver.Options, text string, times int) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for strings.Count(logOf(t, o), text) < times {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("the log is %q, want %q %d times in it", logOf(t, o), text, times)
		}
	}
}

// start runs the server. stop ends it and returns the error of Run.
func start(t *testing.T, o devserver.Options) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- devserver.Run(ctx, o) }()
	return func() error { cancel(); return <-ended }
}

// serving is a server that logs its start and its stop, and stops on SIGTERM.
const serving = `trap 'echo stopped in order; exit 0' TERM
echo "serving $*"
while :; do sleep 0.1; done
`

func TestRunServesUntilItsContextEnds(t *testing.T) {
	o := server(t, serving)
	for run := 1; run <= 2; run++ { // the second finds the state of the first
		stop := start(t, o)
		awaitLog(t, o, "serving "+strings.Join(o.Args(), " "), run)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(logOf(t, o), "stopped in order"); got != run {
			t.Errorf("stopped in order %d times, want %d", got, run)
		}
	}
}

func TestRunStartsAServerAgainThatCrashed(t *testing.T) {
	o := server(t, "echo serving\nsleep 0.2\nexit 1\n")
	o.StartTimeout = 100 * time.Millisecond
	stop := start(t, o)
	awaitLog(t, o, "serving", 2)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestRunFailsWhenTheServerCannotStart(t *testing.T) {
	occupied := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(occupied, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		options func(devserver.Options) devserver.Options
		want    []string
	}{
		{"no such program", func(o devserver.Options) devserver.Options {
			o.Binary += ".missing"
			return o
		}, []string{"start Temporal: ", "no such file or directory"}},
		{"ends at once", func(o devserver.Options) devserver.Options { return o }, []string{"exit status 3", "temporal.log", "17233", "18233"}},
		{"state directory cannot be made", func(o devserver.Options) devserver.Options {
			o.StateDir = filepath.Join(occupied, "state")
			return o
		}, []string{"make state directory of Temporal: "}},
		{"log cannot be written", func(o devserver.Options) devserver.Options {
			o.StateDir = filepath.Join(t.TempDir(), "state")
			if err := os.MkdirAll(filepath.Join(o.StateDir, "temporal.log"), 0o700); err != nil {
				t.Fatal(err)
			}
			return o
		}, []string{"open log of Temporal: "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := devserver.Run(t.Context(), tt.options(server(t, "exit 3\n")))
			for _, part := range tt.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("error %v, want %q in it", err, part)
				}
			}
		})
	}
}

// endsNow is a context that ends between the first look at it and the start of the server.
type endsNow struct {
	context.Context
	looked bool
}

func (c *endsNow) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

func (c *endsNow) Err() error {
	if !c.looked {
		c.looked = true
		return nil
	}
	return context.Canceled
}

// An error of the server would hide why the process ends.
func TestRunReturnsNoErrorWhenItsContextEndsBeforeTheStart(t *testing.T) {
	if err := devserver.Run(&endsNow{Context: t.Context()}, server(t, serving)); err != nil {
		t.Error(err)
	}
}
