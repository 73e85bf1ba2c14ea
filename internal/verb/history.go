package verb

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/khronicle/khronicle/external/apiclient"
)

type history struct {
	*source
	output
	since, until string
	outcomes     []string
	limit        int
}

func historyCommand(ledgers Ledgers) *cobra.Command {
	h := &history{source: newSource(ledgers)}
	command := &cobra.Command{
		Use: "history CHECK", Short: "List the ticks and runs of a check or job, the newest first", Args: cobra.ExactArgs(1),
		Example: `  khronicle history shop/checkout --since 24h --outcome failed,timed-out
  khronicle history shop/checkout --since 2026-11-22T00:00:00Z --until 2026-11-23T00:00:00Z -o json
  khronicle history shop/checkout --ledger sqlite:.state/temporal/ledger.db`,
		ValidArgsFunction: h.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			runs, err := h.read(cmd, args[0], time.Now())
			if err != nil {
				return err
			}
			return h.print(cmd.OutOrStdout(), runList(runs, false))
		},
	}
	h.addFlags(command)
	f := command.Flags()
	h.output.addFlag(f)
	f.StringVar(&h.since, "since", "", "list only runs that were scheduled at this time or later: a time such as 2026-11-23T02:00:00Z, or how long ago, such as 24h")
	f.StringVar(&h.until, "until", "", "list only runs that were scheduled before this time; see --since")
	f.StringSliceVar(&h.outcomes, "outcome", nil, "list only runs with these outcomes: running, succeeded, failed, timed-out, infra-failed, canceled, skipped, missed, paused")
	addLimit(f, &h.limit, 50)
	completeFlag(command, "outcome", "running", "succeeded", "failed", "timed-out", "infra-failed", "canceled", "skipped", "missed", "paused")
	completeFlag(command, "output", "table", "wide", "json", "yaml", "name", "junit", "jsonpath=")
	return command
}

// read returns the runs that the flags choose.
func (h *history) read(cmd *cobra.Command, arg string, now time.Time) ([]apiclient.Run, error) {
	params, err := h.params(now)
	if err != nil {
		return nil, err
	}
	name, err := h.ref(arg)
	if err != nil {
		return nil, err
	}
	client, err := h.connect(cmd)
	if err != nil {
		return nil, err
	}
	defer h.close()
	runs := []apiclient.Run{}
	for run, err := range client.Runs(cmd.Context(), name.namespace, name.name, params) {
		if err != nil {
			return nil, err
		}
		if runs = append(runs, run); len(runs) == h.limit {
			break
		}
	}
	return runs, nil
}

func (h *history) params(now time.Time) (params apiclient.ListRunsParams, err error) {
	if err := errors.Join(h.output.validate(), validLimit(h.limit)); err != nil {
		return params, err
	}
	params.Limit = new(min(h.limit, 500))
	if params.Since, err = timeOf("--since", h.since, now); err != nil {
		return params, err
	}
	if params.Until, err = timeOf("--until", h.until, now); err != nil {
		return params, err
	}
	var outcomes []apiclient.Outcome
	for _, text := range h.outcomes {
		outcome := apiclient.Outcome(text)
		if !outcome.Valid() {
			return params, usagef("--outcome: %q is not running, succeeded, failed, timed-out, infra-failed, canceled, skipped, missed or paused", text)
		}
		outcomes = append(outcomes, outcome)
	}
	if len(outcomes) > 0 {
		params.Outcome = &outcomes
	}
	return params, nil
}

// timeOf reads a time, or how long ago it was. It returns nil for an empty text.
func timeOf(flag, text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return &at, nil
	}
	if before, err := time.ParseDuration(text); err == nil && before >= 0 {
		return new(now.Add(-before).UTC()), nil
	}
	return nil, usagef("%s: %q is not a time such as 2026-11-23T02:00:00Z, and not how long ago, such as 24h", flag, text)
}
