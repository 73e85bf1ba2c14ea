package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/khronicle/khronicle/internal/devserver"
)

// devCommand is the command standalone with Temporal as a child process.
func devCommand() *cobra.Command {
	c, server := defaultConfig(), devserver.Options{}
	command := &cobra.Command{
		Use: "dev", Short: "Run all roles and a Temporal server of their own, on this machine", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDev(cmd.Context(), c, server) },
	}
	f := command.Flags()
	c.addFlagsOfAllRoles(f)
	f.StringVar(&server.Binary, "temporal", "", "Temporal CLI (default: temporal beside this program, else on PATH)")
	f.StringVar(&server.StateDir, "state-dir", ".state/temporal", "directory of Temporal's database and log")
	f.IntVar(&server.Port, "temporal-port", 7233, "port of Temporal on 127.0.0.1")
	f.IntVar(&server.UIPort, "temporal-ui-port", 8233, "port of Temporal's web UI on 127.0.0.1")
	return command
}

func runDev(ctx context.Context, c *config, server devserver.Options) error {
	if c.ledger == "" {
		c.ledger = "sqlite:" + filepath.Join(server.StateDir, "ledger.db")
	}
	if server.Binary == "" {
		found, err := findTemporal()
		if err != nil {
			return err
		}
		server.Binary = found
	}
	if c.temporalUI == "" {
		c.temporalUI = fmt.Sprintf("http://127.0.0.1:%d", server.UIPort)
	}
	c.devServer = fmt.Sprintf("127.0.0.1:%d", server.Port)
	// Temporal ends after the roles, because they still write to it while they stop.
	serverCtx, stopServer := context.WithCancel(context.WithoutCancel(ctx))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return devserver.Run(serverCtx, server) })
	group.Go(func() error {
		defer stopServer()
		return runRoles(ctx, c, allRoles...)
	})
	return group.Wait()
}

func findTemporal() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "temporal")
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	found, err := exec.LookPath("temporal")
	if err != nil {
		return "", fmt.Errorf("the Temporal CLI is neither beside this program nor on PATH: build it with `make temporal`, or name it with --temporal")
	}
	return found, nil
}
