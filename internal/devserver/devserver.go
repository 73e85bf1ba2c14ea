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

// Args returns the command line of the server: a file database in WAL mode, and Khronicle's search attributes.
func (o Options) Args() []string {
	args := []string{
		"server", "start-dev", "--ip", "127.0.0.1",
		"--port", strconv.Itoa(o.Port), "--ui-port", strconv.Itoa(o.UIPort),
		"--db-filename", filepath.Join(o.StateDir, "temporal.db"),
		"--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal",
		"--log-level", "error",
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
	// The kernel ends the child together with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for ctx.Err() == nil {
		server := exec.CommandContext(ctx, o.Binary, o.Args()...)
		server.Stdout, server.Stderr = log, log
		server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
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
