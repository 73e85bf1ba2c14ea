package verb

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/khronicle/khronicle/external/apiclient"
)

const waitLong = `Wait until checks have a state: healthy, failing, unknown or paused. The command goes on after lost connections, and also while
a check does not exist yet. When the time is over, the exit code is 1 if the check has another state. It is 3 if the state
is unknown or cannot be read.`

// waiter waits for a state of one check after the other.
type waiter struct {
	*connection
	state   string
	timeout time.Duration
	client  *apiclient.Client
	stderr  io.Writer
}

func waitCommand() *cobra.Command {
	w := &waiter{connection: newConnection()}
	command := &cobra.Command{
		Use: "wait CHECK…", Short: "Wait until checks are healthy", Long: waitLong, Args: cobra.MinimumNArgs(1), ValidArgsFunction: w.names,
		Example: "  khronicle wait shop/checkout --for=healthy --timeout 10m",
		RunE: func(cmd *cobra.Command, args []string) error {
			refs, err := w.prepare(cmd, args)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), w.timeout)
			defer cancel()
			for _, name := range refs {
				if err := w.await(ctx, name); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s is %s\n", name, w.state)
			}
			return nil
		},
	}
	f := command.Flags()
	w.addAPIFlags(f)
	f.StringVar(&w.state, "for", "healthy", "state to wait for: healthy, failing, unknown or paused")
	f.DurationVar(&w.timeout, "timeout", 5*time.Minute, "how long to wait for all of them; 0 looks once")
	completeFlag(command, "for", "healthy", "failing", "unknown", "paused")
	return command
}

func (w *waiter) prepare(cmd *cobra.Command, args []string) (refs []ref, err error) {
	if !apiclient.State(w.state).Valid() {
		return nil, usagef("--for: %q is not healthy, failing, unknown or paused", w.state)
	}
	if w.timeout < 0 {
		return nil, usagef("--timeout: %s is less than 0", w.timeout)
	}
	if refs, err = w.refs(args); err != nil {
		return nil, err
	}
	w.stderr = cmd.ErrOrStderr()
	w.client, err = w.api()
	return refs, err
}

// await returns when the check has the state, or when ctx ends. It looks at least once.
func (w *waiter) await(ctx context.Context, name ref) error {
	shown := ""
	for {
		check, err := w.look(ctx, name)
		if err == nil && string(check.State) == w.state {
			return nil
		}
		if permanent(err) && !apiclient.IsNotFound(err) {
			return err
		}
		seen := fmt.Sprintf("%s is %s (%s): %s", name, check.State, check.Reason, firstOf(firstError(check.Errors)))
		if err != nil {
			seen = fmt.Sprintf("%s: %s", name, firstOf(err.Error()))
		}
		if seen != shown && ctx.Err() == nil {
			shown = seen
			fmt.Fprintln(w.stderr, seen)
		}
		select {
		case <-ctx.Done():
			if err == nil && check.State != apiclient.StateUnknown {
				return failedf("%s is not %s, it is %s", name, w.state, check.State)
			}
			return fmt.Errorf("%s is not known to be %s: %s", name, w.state, seen)
		case <-time.After(lookEvery):
		}
	}
}

// look reads a check. It has its own time, so that a check is read also when the time to wait is over.
func (w *waiter) look(ctx context.Context, name ref) (apiclient.Check, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	return apiclient.Decode[apiclient.Check](w.client.GetCheck(ctx, name.namespace, name.name, nil))
}
