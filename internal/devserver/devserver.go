// Package devserver runs the server of Temporal's CLI as a child process, for development and tests. It is one process with a
// web UI. Its database is a file, which survives a restart.
package devserver

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/khronicle/khronicle/workflows"
)

// restartPause is the time between the end of the server and its next start.
const restartPause = time.Second

// startTimeout is the default of Options.StartTimeout.
const startTimeout = 5 * time.Second

// stopTimeout bounds the graceful stop.
const stopTimeout = 10 * time.Second

// Options say which server to run and where.
type Options struct {
	// Binary is Temporal's CLI.
	Binary string
	// StateDir holds the database and the log. Run creates it.
	StateDir string
	// Port and UIPort are on 127.0.0.1.
	Port, UIPort int
	// StartTimeout is how long the server must run before Run starts it again after a crash. A server that ends sooner is an
	// error of Run. 0 means 5 s.
	StartTimeout time.Duration
}

// pragmas are settings of the file database. The server uses one connection, and its tables have many indexes. The default
// cache of 2 MB is too small for the pages of one write. With the default checkpoint after 4 MB, the same pages are written
// many times.
var pragmas = []string{"journal_mode=wal", "synchronous=normal", "cache_size=-65536", "temp_store=memory", "wal_autocheckpoint=8000"}

// dynamicConfig are settings of the server that differ from those of the CLI.
var dynamicConfig = []string{
	// A worker receives its next activity in the response, not through the task queue.
	"system.enableActivityEagerExecution=true",
	// By default, the server reads its search attributes from the database for every workflow task, to know new ones at once.
	// Khronicle's search attributes exist from the start.
	"system.forceSearchAttributesCacheRefreshOnRead=false",
	// One partition of a task queue is enough for one process. Four would only forward tasks and polls to each other.
	"matching.numTaskqueueReadPartitions=1",
	"matching.numTaskqueueWritePartitions=1",
}

// Args returns the command line of the server, with Khronicle's search attributes. docs/adr/0009 says what the settings
// save.
func (o Options) Args() []string {
	args := []string{
		"server", "start-dev", "--ip", "127.0.0.1",
		"--port", strconv.Itoa(o.Port), "--ui-port", strconv.Itoa(o.UIPort),
		"--db-filename", filepath.Join(o.StateDir, "temporal.db"),
		"--log-level", "error",
	}
	for _, pragma := range pragmas {
		args = append(args, "--sqlite-pragma", pragma)
	}
	for _, setting := range dynamicConfig {
		args = append(args, "--dynamic-config-value", setting)
	}
	for _, key := range workflows.SearchAttributeKeys() {
		args = append(args, "--search-attribute", key.GetName()+"=Keyword")
	}
	return args
}

// Run starts the server, starts it again after a crash, and stops it when ctx ends. It returns an error when the server cannot
// start.
func Run(ctx context.Context, o Options) error {
	if err := os.MkdirAll(o.StateDir, 0o750); err != nil {
		return fmt.Errorf("make state directory of Temporal: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(o.StateDir, "temporal.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("open log of Temporal: %w", err)
	}
	defer log.Close()
	// Linux ends the server when the thread that started it ends, not the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for ctx.Err() == nil {
		server := exec.CommandContext(ctx, o.Binary, o.Args()...)
		server.Stdout, server.Stderr = log, log
		server.SysProcAttr = ofChild()
		server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
		server.WaitDelay = stopTimeout
		began := time.Now()
		if err := server.Start(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("start Temporal: %w", err)
		}
		err := server.Wait()
		if ctx.Err() == nil && time.Since(began) < cmp.Or(o.StartTimeout, startTimeout) {
			return fmt.Errorf("run Temporal: it ended at once (%w); see %s; is port %d or %d taken?", err, log.Name(), o.Port, o.UIPort)
		}
		select {
		case <-ctx.Done():
		case <-time.After(restartPause):
		}
	}
	return nil
}
