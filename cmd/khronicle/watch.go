package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/khronicle/khronicle/internal/overview"
	"github.com/khronicle/khronicle/kube"
)

// firstLook bounds the first read of the cluster.
const firstLook = 30 * time.Second

// watchOptions say what to show, for how long, and what is expected at the end.
type watchOptions struct {
	every, duration time.Duration
	expect, footer  []string
	since           string
}

func watchCommand() *cobra.Command {
	c, o := defaultConfig(), watchOptions{}
	command := &cobra.Command{
		Use: "watch", Short: "Show the checks and jobs of the cluster as a live table", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runWatch(cmd.Context(), c, o, cmd.OutOrStdout()) },
	}
	f := command.Flags()
	c.addClusterFlags(f)
	f.DurationVar(&o.every, "every", time.Second, "time between two looks")
	f.DurationVar(&o.duration, "for", 0, "end after this time, 0 for never")
	f.StringArrayVar(&o.expect, "expect", nil, "NAMESPACE/NAME=ok or =failed[:TEXT]; exit code 1 if it is not so at the end")
	f.StringVar(&o.since, "since", "", "an outcome from before this time (RFC 3339) does not meet an expectation")
	f.StringArrayVar(&o.footer, "footer", nil, "a line to show below the table")
	return command
}

func runWatch(ctx context.Context, c *config, o watchOptions, out io.Writer) error {
	expected, since, err := o.expectations()
	if err != nil {
		return err
	}
	p, err := newProcess(c, kube.Options{UserAgent: "khronicle/watch", Checks: true, Jobs: true, States: true})
	if err != nil {
		return err
	}
	defer p.temporal.Close()
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	p.cluster.Start(watching)
	first, cancelFirst := context.WithTimeout(ctx, firstLook)
	defer cancelFirst()
	if err := p.cluster.WaitForSync(first); err != nil {
		return err
	}
	if o.duration > 0 {
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	rows, err := p.showUntil(ctx, watching, o, out)
	return errors.Join(err, overview.Compare(expected, rows, since))
}

func (o watchOptions) expectations() (expected []overview.Expectation, since time.Time, err error) {
	for _, text := range o.expect {
		expectation, err := overview.ParseExpectation(text)
		if err != nil {
			return nil, since, fmt.Errorf("--expect: %w", err)
		}
		expected = append(expected, expectation)
	}
	if o.since != "" {
		if since, err = time.Parse(time.RFC3339, o.since); err != nil {
			return nil, since, fmt.Errorf("--since: %w", err)
		}
	}
	return expected, since, nil
}

// showUntil draws the table again and again until ctx ends, and once more then. On a terminal each takes the place of the
// one before; elsewhere only the last is written.
func (p *process) showUntil(ctx, watching context.Context, o watchOptions, out io.Writer) ([]overview.Row, error) {
	live := isTerminal(out)
	for {
		done := ctx.Err() != nil
		now := time.Now()
		rows, unknown := overview.Rows(watching, p.cluster, p.temporal, now)
		var page bytes.Buffer
		if err := overview.Write(&page, rows, now); err != nil {
			return rows, err
		}
		if unknown != nil {
			fmt.Fprintln(&page, "Temporal does not answer, so the next runs are unknown:", unknown)
		}
		for _, line := range o.footer {
			fmt.Fprintln(&page, line)
		}
		if live {
			fmt.Fprint(out, "\033[H\033[2J")
		}
		if live || done {
			if _, err := page.WriteTo(out); err != nil {
				return rows, fmt.Errorf("write table: %w", err)
			}
		}
		if done {
			return rows, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(o.every):
		}
	}
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
