package verb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/external/apiclient"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/kube"
)

const (
	// maxID is how many bytes a request may have.
	maxID = 128
	// lookEvery is the time between two looks at a check.
	lookEvery = time.Second
	// recordWithin is how long the record of a run may be behind its end.
	recordWithin = 5 * time.Second
)

const runLong = `Ask for one run of a check now, by the annotation ` + protocol.AnnotationRequestedAt + `. It runs also while the check is paused.

With --wait, the command follows the run. It goes on after lost connections. The exit code is 0 when the run succeeded, and 1 when it
failed or timed out. It is 3 when the platform failed, the request was refused, or the time was over.

The same --id asks for the same run. So a pipeline that repeats the command does not start a second run, but follows the first.`

// request is the run that is asked for and followed.
type request struct {
	*connection
	wait    bool
	timeout time.Duration
	id      string

	name     ref
	client   *kube.CheckClient
	uid      types.UID
	progress io.Writer
	// shown is the last line of progress.
	shown string
}

func runCommand() *cobra.Command {
	r := &request{connection: newConnection()}
	command := &cobra.Command{
		Use: "run CHECK", Short: "Run a check now", Long: runLong, Args: cobra.ExactArgs(1), ValidArgsFunction: r.names,
		Example: "  khronicle run shop/checkout\n  khronicle run shop/checkout --wait --timeout 10m --id \"$CI_PIPELINE_ID\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.prepare(cmd, args[0]); err != nil {
				return err
			}
			if r.wait {
				return r.follow(cmd.Context(), cmd.OutOrStdout())
			}
			if err := r.ask(cmd.Context()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: a run is requested (--id %s)\n", r.name, printable(r.id))
			return nil
		},
	}
	f := command.Flags()
	r.addAPIFlags(f)
	f.BoolVar(&r.wait, "wait", false, "wait for the end of the run; the exit code tells its outcome")
	f.DurationVar(&r.timeout, "timeout", 15*time.Minute, "with --wait, how long to wait, 0 for ever")
	f.StringVar(&r.id, "id", "", "name of the request, at most 128 bytes; the same name never starts a second run (default: the time)")
	return command
}

func (r *request) prepare(cmd *cobra.Command, arg string) (err error) {
	f := cmd.Flags()
	switch {
	case f.Changed("id") && r.id == "":
		return usagef("--id: is empty")
	case len(r.id) > maxID:
		return usagef("--id: has %d bytes, more than %d", len(r.id), maxID)
	case r.timeout < 0:
		return usagef("--timeout: %s is less than 0", r.timeout)
	case f.Changed("timeout") && !r.wait:
		return usagef("--timeout: needs --wait")
	}
	if r.id == "" {
		r.id = time.Now().UTC().Format(time.RFC3339Nano)
	}
	if r.name, err = r.ref(arg); err != nil {
		return err
	}
	r.progress = cmd.ErrOrStderr()
	r.client, err = r.checks(r.name.namespace)
	return err
}

// ask sets the annotation, unless the check has it or had it last.
func (r *request) ask(ctx context.Context) error {
	found, err := r.get(ctx)
	if err != nil {
		return err
	}
	r.uid = found.UID
	if last := found.Status.LastRequest; found.Annotations[protocol.AnnotationRequestedAt] == r.id || last != nil && last.Value == r.id {
		return nil
	}
	return patchCheck(ctx, r.client, r.name, map[string]any{
		"metadata": map[string]any{"uid": found.UID, "annotations": map[string]any{protocol.AnnotationRequestedAt: r.id}},
	})
}

func (r *request) get(ctx context.Context) (*khv1.KuberhealthyCheck, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, err := r.client.Get(ctx, r.name.name, metav1.GetOptions{})
	return found, ofCheck(r.name, err)
}

// follow asks for the run and waits for its end.
func (r *request) follow(ctx context.Context, out io.Writer) error {
	waiting, cancel := context.WithCancel(ctx)
	if r.timeout > 0 {
		waiting, cancel = context.WithTimeout(ctx, r.timeout)
	}
	defer cancel()
	asked := false
	for {
		var ended *khv1.RunRequest
		var err error
		if !asked {
			err = r.ask(waiting)
			asked = err == nil
		}
		if asked {
			ended, err = r.look(waiting)
		}
		switch {
		case ended != nil:
			return r.conclude(ctx, out, ended)
		case waiting.Err() != nil:
			return r.unfinished(ctx)
		case errors.Is(err, errReplaced), permanent(err):
			return err
		case err != nil:
			r.tell("cannot read the check, trying again: %s", firstOf(err.Error()))
		}
		select {
		case <-waiting.Done():
			return r.unfinished(ctx)
		case <-time.After(lookEvery):
		}
	}
}

// errReplaced says that the outcome is no longer in the status of the check.
var errReplaced = errors.New("see its runs with: khronicle history")

// look returns the request once it has ended or was refused.
func (r *request) look(ctx context.Context) (*khv1.RunRequest, error) {
	found, err := r.get(ctx)
	if err != nil {
		return nil, err
	}
	if found.UID != r.uid {
		return nil, fmt.Errorf("check %s was deleted and created anew while its run was followed; %w", r.name, errReplaced)
	}
	last := found.Status.LastRequest
	switch {
	case last != nil && last.Value == r.id:
	case found.Annotations[protocol.AnnotationRequestedAt] != r.id:
		return nil, fmt.Errorf("another request for a run of %s took the place of %q before its end was seen; %w", r.name, r.id, errReplaced)
	default:
		r.tell("the request has not been taken up yet")
		return nil, nil
	}
	switch last.Phase {
	case khv1.RequestEnded, khv1.RequestRefused:
		return last, nil
	case khv1.RequestWaiting:
		r.tell("waiting for the end of the open run")
	case khv1.RequestRunning:
		r.tell("running since %s", last.Time.UTC().Format(time.RFC3339))
	}
	return nil, nil
}

// tell writes a line of progress, once.
func (r *request) tell(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if line != r.shown {
		fmt.Fprintf(r.progress, "%s: %s\n", r.name, line)
	}
	r.shown = line
}

// unfinished is the error of a wait that is over before the run.
func (r *request) unfinished(ctx context.Context) error {
	why := "no outcome within " + r.timeout.String()
	if ctx.Err() != nil {
		why = "interrupted"
	}
	return fmt.Errorf("%s: %s; to go on waiting: khronicle run %s --wait --id '%s'", r.name, why, r.name, r.id)
}

// conclude writes the outcome of the run, and returns an error with the exit code that it means.
func (r *request) conclude(ctx context.Context, out io.Writer, ended *khv1.RunRequest) error {
	if ended.Phase == khv1.RequestRefused {
		return fmt.Errorf("%s: the run was refused: %s", r.name, firstOf(ended.Message))
	}
	fmt.Fprintf(out, "%s: %s\n", r.name, printable(ended.Outcome))
	switch apiclient.Outcome(ended.Outcome) {
	case apiclient.OutcomeSucceeded:
		return nil
	case apiclient.OutcomeFailed, apiclient.OutcomeTimedOut:
		r.explain(ctx, ended)
		return failedf("the run of %s did not succeed: %s", r.name, ended.Outcome)
	}
	r.explain(ctx, ended)
	return fmt.Errorf("the run of %s says nothing about what is checked: %s", r.name, ended.Outcome)
}

// explain writes the errors of the run, and where its evidence is.
func (r *request) explain(ctx context.Context, ended *khv1.RunRequest) {
	if ended.Message != "" {
		fmt.Fprintln(r.progress, "message:", firstOf(ended.Message))
	}
	if ended.RunUUID == "" {
		return
	}
	run, err := r.record(ctx, ended.RunUUID)
	for _, text := range run.Errors {
		fmt.Fprintln(r.progress, "error:", printable(text))
	}
	if err != nil {
		r.explainByStatus(ctx)
		fmt.Fprintln(r.progress, "the record of the run cannot be read:", firstOf(err.Error()))
	}
	fmt.Fprintf(r.progress, "evidence: khronicle evidence %s --run %s\n", r.name, printable(ended.RunUUID))
}

// record reads the record of a run that has just ended.
func (r *request) record(ctx context.Context, uuid string) (apiclient.Run, error) {
	api, err := r.api()
	if err != nil {
		return apiclient.Run{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, recordWithin)
	defer cancel()
	for {
		run, err := apiclient.Decode[apiclient.Run](api.GetRun(ctx, r.name.namespace, r.name.name, uuid, &apiclient.GetRunParams{Kind: new(apiclient.KindCheck)}))
		if err == nil || permanent(err) && !apiclient.IsNotFound(err) {
			return run, err
		}
		select {
		case <-ctx.Done():
			return run, err
		case <-time.After(lookEvery / 2):
		}
	}
}

// explainByStatus writes what the check itself shows of the last failure.
func (r *request) explainByStatus(ctx context.Context) {
	found, err := r.get(ctx)
	if err != nil {
		return
	}
	for _, condition := range found.Status.Conditions {
		if condition.Type == khv1.ConditionHealthy && condition.Status == metav1.ConditionFalse {
			fmt.Fprintln(r.progress, "error:", printable(condition.Message))
		}
	}
}
