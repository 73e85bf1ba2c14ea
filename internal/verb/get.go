package verb

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/khronicle/khronicle/external/apiclient"
)

const getExample = `  khronicle get                                # the checks and jobs of the namespace
  khronicle get checks -A -o wide --state failing
  khronicle get runs shop/checkout --limit 5
  khronicle get runs -A --ledger sqlite:.state/temporal/ledger.db
  khronicle get -A -o junit > checks.xml
  khronicle get -A -o 'jsonpath={.items[*].name}'`

// getter lists checks or runs.
type getter struct {
	*source
	output
	client   *apiclient.Client
	runs     bool
	all      bool
	watch    bool
	selector string
	matches  labels.Selector
	states   []string
	limit    int
	names    []ref
	// shown has what was written of each check or run.
	shown map[string]string
	// headed is true once the header of the table was written.
	headed bool
}

func getCommand(ledgers Ledgers) *cobra.Command {
	g := &getter{source: newSource(ledgers), shown: map[string]string{}}
	command := &cobra.Command{
		Use: "get [checks|runs] [CHECK…]", Short: "List checks, or their runs", Example: getExample,
		Long: `List the checks and jobs of a namespace, or their newest runs. CHECK is NAME or NAMESPACE/NAME.
The exit code is 0 also when checks are failing. To fail then, use wait.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := g.prepare(cmd, args); err != nil {
				return err
			}
			defer g.close()
			if g.watch {
				return g.follow(cmd.Context(), cmd.OutOrStdout())
			}
			return g.once(cmd.Context(), cmd.OutOrStdout())
		},
	}
	command.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		names, directive := g.source.names(cmd, args, word)
		if len(args) == 0 {
			names = append([]string{"checks", "runs"}, names...)
		}
		return names, directive
	}
	g.addFlags(command)
	f := command.Flags()
	g.output.addFlag(f)
	f.BoolVarP(&g.all, "all-namespaces", "A", false, "list those of all namespaces")
	f.StringVarP(&g.selector, "selector", "l", "", "list only checks with these labels, such as team=billing,tier!=test")
	f.StringSliceVar(&g.states, "state", nil, "list only checks in these states: healthy, failing, unknown, paused")
	f.BoolVarP(&g.watch, "watch", "w", false, "then write each change, until interrupted")
	addLimit(f, &g.limit, 20)
	completeFlag(command, "state", "healthy", "failing", "unknown", "paused")
	completeFlag(command, "output", "table", "wide", "json", "yaml", "name", "junit", "jsonpath=")
	return command
}

func (g *getter) prepare(cmd *cobra.Command, args []string) (err error) {
	if len(args) > 0 {
		switch args[0] {
		case "runs", "run":
			g.runs, args = true, args[1:]
		case "checks", "check", "khchecks", "khcheck", "khc":
			args = args[1:]
		}
	}
	if g.matches, err = labels.Parse(g.selector); err != nil {
		return usagef("--selector: %w", err)
	}
	for _, state := range g.states {
		if !apiclient.State(state).Valid() {
			return usagef("--state: %q is not healthy, failing, unknown or paused", state)
		}
	}
	if err := errors.Join(g.output.validate(), validLimit(g.limit)); err != nil {
		return err
	}
	if g.watch && g.format == "junit" {
		return usagef("--watch: junit is one document, which has an end")
	}
	if len(args) > 0 && (g.all || g.selector != "" || len(g.states) > 0) {
		return usagef("%q: names exclude --all-namespaces, --selector and --state", args[0])
	}
	if g.names, err = g.refs(args); err != nil {
		return err
	}
	return g.choose(cmd)
}

// choose chooses where to read from. A ledger has runs, but no checks with states and labels.
func (g *getter) choose(cmd *cobra.Command) (err error) {
	named := cmd.Flags().Changed(flagLedger)
	switch {
	case named && !g.runs:
		return usagef("--ledger: a ledger has runs, and no states of checks: use get runs, history or evidence")
	case named && (g.watch || g.selector != "" || len(g.states) > 0):
		return usagef("--ledger: excludes --watch, --selector and --state")
	case !g.runs || g.watch || g.selector != "" || len(g.states) > 0:
		g.client, err = g.api()
	default:
		g.client, err = g.connect(cmd)
	}
	return err
}

// once lists what was asked for.
func (g *getter) once(ctx context.Context, out io.Writer) error {
	checks, err := g.checks(ctx)
	if err != nil {
		return err
	}
	if !g.runs {
		return g.print(out, checkList(checks, g.all || len(g.names) > 0, time.Now()))
	}
	runs, err := g.runsOf(ctx, checks)
	if err != nil {
		return err
	}
	return g.print(out, runList(runs, true))
}

// checks returns the checks that the arguments and flags choose.
func (g *getter) checks(ctx context.Context) ([]apiclient.Check, error) {
	if g.ledger != nil {
		return g.recorded(ctx)
	}
	found := []apiclient.Check{}
	for _, name := range g.names {
		one, err := apiclient.Decode[apiclient.Check](g.client.GetCheck(ctx, name.namespace, name.name, nil))
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	if len(g.names) > 0 {
		return found, nil
	}
	params, err := g.params()
	if err != nil {
		return nil, err
	}
	for one, err := range g.client.Checks(ctx, params) {
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, nil
}

// recorded returns the checks of the ledger that the arguments choose. Nothing but their names is known.
func (g *getter) recorded(ctx context.Context) (found []apiclient.Check, err error) {
	for _, name := range g.names {
		found = append(found, apiclient.Check{Namespace: name.namespace, Name: name.name})
	}
	if len(g.names) > 0 {
		return found, nil
	}
	namespace, err := g.namespace()
	if err != nil && !g.all {
		return nil, err
	}
	all, err := g.ledger.Recorded(ctx)
	for _, one := range all {
		if g.all || one.Namespace == namespace {
			found = append(found, apiclient.Check{Kind: one.Kind, Namespace: one.Namespace, Name: one.Name})
		}
	}
	return found, err
}

func (g *getter) params() (apiclient.ListChecksParams, error) {
	params := apiclient.ListChecksParams{Limit: new(500)}
	if !g.all {
		namespace, err := g.namespace()
		if err != nil {
			return params, err
		}
		params.Namespace = &[]string{namespace}
	}
	if g.selector != "" {
		params.Labels = &g.selector
	}
	if len(g.states) > 0 {
		states := []apiclient.State{}
		for _, state := range g.states {
			states = append(states, apiclient.State(state))
		}
		params.State = &states
	}
	return params, nil
}

// runsOf returns the newest runs of these checks, the newest first.
func (g *getter) runsOf(ctx context.Context, checks []apiclient.Check) ([]apiclient.Run, error) {
	runs := []apiclient.Run{}
	for _, check := range checks {
		page, err := apiclient.Decode[apiclient.RunList](g.client.ListRuns(ctx, check.Namespace, check.Name,
			&apiclient.ListRunsParams{Kind: kindOf(check.Kind), Limit: new(min(g.limit, 500))}))
		if err != nil {
			return nil, err
		}
		runs = append(runs, page.Items...)
	}
	slices.SortStableFunc(runs, func(a, b apiclient.Run) int {
		return cmp.Or(b.ScheduledAt.Compare(a.ScheduledAt), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return runs[:min(g.limit, len(runs))], nil
}

// follow lists what was asked for, and then what changes, until ctx ends.
func (g *getter) follow(ctx context.Context, out io.Writer) error {
	params := apiclient.StreamChangesParams{}
	for _, name := range g.names {
		params.Namespace = appendTo(params.Namespace, name.namespace)
	}
	if len(g.names) == 0 && !g.all {
		namespace, err := g.namespace()
		if err != nil {
			return err
		}
		params.Namespace = &[]string{namespace}
	}
	if err := g.show(ctx, out, apiclient.Change{Refresh: true}); err != nil {
		return err
	}
	for change, err := range g.client.Changes(ctx, params) {
		if err != nil && ctx.Err() != nil {
			return nil // interrupted
		}
		if err != nil {
			return err
		}
		if err := g.show(ctx, out, change); err != nil {
			return err
		}
	}
	return nil
}

// show writes what is new or different because of a change.
func (g *getter) show(ctx context.Context, out io.Writer, change apiclient.Change) error {
	var checks []apiclient.Check
	switch {
	case change.Refresh:
		all, err := g.checks(ctx)
		if err != nil {
			return err
		}
		checks = all
	case change.Changed != nil && g.chosen(*change.Changed):
		checks = []apiclient.Check{*change.Changed}
	}
	if !g.runs {
		checks = slices.DeleteFunc(checks, func(c apiclient.Check) bool {
			c.Uptime, c.Durations = nil, nil // they change all the time
			return g.seen("check "+string(c.Kind)+" "+c.Namespace+"/"+c.Name, c)
		})
		return g.add(out, checkList(checks, g.all || len(g.names) > 0, time.Now()))
	}
	runs, err := g.runsOf(ctx, checks)
	if err != nil {
		return err
	}
	runs = slices.DeleteFunc(runs, func(r apiclient.Run) bool { return g.seen(r.Namespace+"/"+r.Name+"/"+r.ID, r) })
	slices.Reverse(runs) // the newest is the last line
	return g.add(out, runList(runs, true))
}

// add writes a list below what was written before.
func (g *getter) add(out io.Writer, l list) error {
	if len(l.rows) == 0 {
		return nil
	}
	if g.format != "table" && g.format != "wide" {
		return g.print(out, l)
	}
	first := !g.headed
	g.headed = true
	return l.table(out, g.format == "wide", first)
}

// chosen is true for a check that the arguments and flags choose.
func (g *getter) chosen(c apiclient.Check) bool {
	named := len(g.names) == 0 || slices.Contains(g.names, ref{c.Namespace, c.Name})
	return named && g.matches.Matches(labels.Set(c.Labels)) && (len(g.states) == 0 || slices.Contains(g.states, string(c.State)))
}

// seen is true if the value was the last one of its name.
func (g *getter) seen(name string, value any) bool {
	text, err := json.Marshal(value)
	if err != nil || g.shown[name] == string(text) {
		return err == nil
	}
	g.shown[name] = string(text)
	return false
}

func appendTo(values *[]string, value string) *[]string {
	if values == nil {
		return &[]string{value}
	}
	if slices.Contains(*values, value) {
		return values
	}
	return new(append(*values, value))
}
