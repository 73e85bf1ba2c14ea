package verb

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/khronicle/khronicle/external/apiclient"
)

// describedRuns is how many runs describe shows.
const describedRuns = 10

func describeCommand() *cobra.Command {
	c := newConnection()
	command := &cobra.Command{
		Use: "describe CHECK", Short: "Show a check or job: its state, errors, schedule, uptime and last runs", Args: cobra.ExactArgs(1),
		ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := c.ref(args[0])
			if err != nil {
				return err
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			check, err := apiclient.Decode[apiclient.Check](api.GetCheck(cmd.Context(), name.namespace, name.name, nil))
			if err != nil {
				return err
			}
			runs, err := apiclient.Decode[apiclient.RunList](api.ListRuns(cmd.Context(), name.namespace, name.name,
				&apiclient.ListRunsParams{Kind: &check.Kind, Limit: new(describedRuns)}))
			if describeErr := describe(cmd.OutOrStdout(), check, time.Now()); describeErr != nil {
				return describeErr
			}
			if err != nil {
				return fmt.Errorf("list the runs of %s: %w", name, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "\nLast runs:\n")
			return runList(runs.Items, false).table(cmd.OutOrStdout(), true, true)
		},
	}
	c.addAPIFlags(command.Flags())
	return command
}

// describe writes all that is known of a check but its runs.
func describe(out io.Writer, c apiclient.Check, now time.Time) error {
	last := c.LastRun
	if last == nil {
		last = &apiclient.LastRun{}
	}
	for _, line := range [][2]string{
		{"Name", c.Namespace + "/" + c.Name},
		{"Kind", string(c.Kind)},
		{"Labels", labelText(c.Labels)},
		{"State", stateText(c, now)},
		{"Message", orDash(c.Message)},
		{"Schedule", schedule(c)},
		{"Timeout", seconds(&c.TimeoutSeconds)},
		{"Attempts", strconv.Itoa(c.Attempts)},
		{"Suspended", strconv.FormatBool(c.Suspended)},
		{"Last run", fmt.Sprintf("%s, %s, took %s, node %s", orDash((*string)(&last.Outcome)), ago(last.ConcludedAt, now), seconds(last.DurationSeconds), orDash(last.Node))},
		{"Next run", until(c.NextRunAt, now)},
		{"Uptime", fmt.Sprintf("24h %s, 7d %s, 30d %s", share(c.Uptime, day), share(c.Uptime, week), share(c.Uptime, month))},
		{"Durations", durationText(c.Durations)},
	} {
		if _, err := fmt.Fprintf(out, "%-11s %s\n", line[0]+":", firstOf(line[1])); err != nil {
			return err
		}
	}
	if len(c.Errors) > 0 {
		fmt.Fprintln(out, "Errors:")
	}
	for _, text := range c.Errors {
		fmt.Fprintln(out, "  - "+strings.ReplaceAll(strings.TrimSpace(printable(text)), "\n", "\n    "))
	}
	return nil
}

func labelText(labels map[string]string) string {
	if len(labels) == 0 {
		return "-"
	}
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, key+"="+labels[key])
	}
	return strings.Join(pairs, ",")
}

func stateText(c apiclient.Check, now time.Time) string {
	text := fmt.Sprintf("%s (%s)", c.State, c.Reason)
	if c.Since != nil {
		text += fmt.Sprintf(" since %s (%s", c.Since.UTC().Format(time.RFC3339), ago(c.Since, now))
		if c.SinceOrEarlier != nil && *c.SinceOrEarlier {
			text += " or more"
		}
		text += ")"
	}
	return text
}

func durationText(d *apiclient.Durations) string {
	if d == nil {
		return "-"
	}
	return fmt.Sprintf("median %s, p95 %s, of %d runs", seconds(&d.MedianSeconds), seconds(&d.P95Seconds), d.Runs)
}
