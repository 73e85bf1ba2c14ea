package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/khronicle/khronicle/internal/cli"
	"github.com/khronicle/khronicle/kube"
	"github.com/khronicle/khronicle/view"
)

// firstReadTimeout bounds the first read of the cluster.
const firstReadTimeout = 30 * time.Second

// watchFlags are the flags of the command watch.
type watchFlags struct {
	cli.WatchOptions
	// duration is how long the command runs. 0 means until it is interrupted.
	duration time.Duration
	expect   []string
	since    string
}

func watchCommand() *cobra.Command {
	c, o := defaultConfig(), watchFlags{}
	command := &cobra.Command{
		Use: "watch", Short: "Show the checks and jobs of the cluster as a live table", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runWatch(cmd.Context(), c, o, cmd.OutOrStdout()) },
	}
	f := command.Flags()
	c.addClusterFlags(f)
	f.DurationVar(&o.Every, "every", time.Second, "time between two tables")
	f.DurationVar(&o.duration, "for", 0, "end after this time, 0 for never")
	f.StringArrayVar(&o.expect, "expect", nil, "NAMESPACE/NAME=ok or =failed[:TEXT]; the outcome expected at the end; exit code 1 for another")
	f.StringVar(&o.since, "since", "", "an outcome from before this time (RFC 3339) does not meet an expectation")
	f.StringArrayVar(&o.Footer, "footer", nil, "a line to show below the table")
	return command
}

func runWatch(ctx context.Context, c *config, o watchFlags, out io.Writer) error {
	if o.Every <= 0 {
		return fmt.Errorf("--every: %s is not more than 0", o.Every)
	}
	expected, since, err := cli.ParseExpectations(o.expect, o.since)
	if err != nil {
		return err
	}
	p, err := newProcess(c, kube.Options{UserAgent: "khronicle/watch", Checks: true, Jobs: true, States: true})
	if err != nil {
		return err
	}
	defer p.temporal.Close()
	reading, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	p.cluster.Start(reading)
	first, cancelFirst := context.WithTimeout(ctx, firstReadTimeout)
	defer cancelFirst()
	if err := p.cluster.WaitForSync(first); err != nil {
		return err
	}
	if o.duration > 0 {
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	rows, err := cli.Watch(ctx, reading, view.New(view.Options{Cluster: p.cluster}), p.temporal, o.WatchOptions, out)
	return errors.Join(err, cli.Compare(expected, rows, since))
}
