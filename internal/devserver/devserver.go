// Package devserver runs Temporal's CLI server as a child process, for development and tests: one process with a web UI
// and a file database that a restart keeps.
package devserver

import (
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

// restartPause is the time between the death of the server and its next start.
const restartPause = time.Second

// startTimeout is how long a server must live for its death to be an accident, after which it is started again.
const startTimeout = 5 * time.Second

// stopTimeout bounds the graceful stop.
const stopTimeout = 10 * time.Second

// Options say which server to run and where.
type Options struct {
	// Binary is Temporal's CLI.
	Binary string
	// StateDir holds the database and the log; it is made.
	StateDir string
	// Port and UIPort are on 127.0.0.1.
	Port, UIPort int
}

// pragmas are settings of the file database. All of the server's reads and writes go over one connection, and its lists of
// workflows have many indexes: the default cache of 2 MB holds a small part of what one write touches, and a checkpoint after 4 MB
// writes the same pages again and again.
var pragmas = []string{"journal_mode=wal", "synchronous=normal", "cache_size=-65536", "temp_store=memory", "wal_autocheckpoint=8000"}

// dynamicConfig are settings of the server that the CLI has otherwise.
var dynamicConfig = []string{
	// A worker gets the activity that it has just asked for with the answer, in place of a way over the task queue.
	"system.enableActivityEagerExecution=true",
	// The CLI lets the server read its search attributes from the database for every workflow task, so that new ones can
	// be used at once. Khronicle's are there from the start.
	"system.forceSearchAttributesCacheRefreshOnRead=false",
	// One partition of a task queue carries far more than one process: four would only forward tasks and polls to one another.
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

// Run keeps the server running until ctx ends, and then stops it. It returns an error when the server cannot be started.
func Run(ctx context.Context, o Options) error {
	if err := os.MkdirAll(o.StateDir, 0o750); err != nil {
		return fmt.Errorf("make state directory of Temporal: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(o.StateDir, "temporal.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("open log of Temporal: %w", err)
	}
	defer log.Close()
	// Where the kernel ends the server together with its parent, it does so when the thread that started it ends.
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
		if ctx.Err() == nil && time.Since(began) < startTimeout {
			return fmt.Errorf("run Temporal: it ended at once (%w); see %s; is port %d or %d taken?", err, log.Name(), o.Port, o.UIPort)
		}
		select {
		case <-ctx.Done():
		case <-time.After(restartPause):
		}
	}
	return nil
}
