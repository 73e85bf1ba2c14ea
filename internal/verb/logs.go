package verb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/khronicle/khronicle/external/apiclient"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/kube"
)

const logsLong = `Write the log of the newest run of a check: of its pods, or from its evidence when they are deleted. A run that succeeded
leaves no evidence, so then it is the newest run with evidence. stderr says which run it is.

With --follow, the command writes the log of a pod until the pod ends. If no pod runs, it waits for the next one.

To read the log of a pod, you need the rights to list pods and to get pods/log in the namespace of the check.
Characters that a terminal would obey are escaped, unless you give --raw.`

// logs writes logs of one run.
type logs struct {
	*source
	follow, raw bool
	run         string
	container   string
	tail        int64

	name   ref
	pods   *kube.PodReader
	stderr io.Writer
	out    *lines
	// said is the last line on stderr.
	said string
}

func logsCommand(ledgers Ledgers) *cobra.Command {
	l := &logs{source: newSource(ledgers)}
	command := &cobra.Command{
		Use: "logs CHECK", Short: "Write the log of the newest run", Long: logsLong, Args: cobra.ExactArgs(1), ValidArgsFunction: l.names,
		Example: `  khronicle logs shop/checkout
  khronicle logs shop/checkout --follow
  khronicle logs shop/checkout --run schedule-1795996800000000 -c main --tail 100`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := l.prepare(cmd, args[0]); err != nil {
				return err
			}
			defer l.close()
			if l.follow {
				return l.followed(cmd)
			}
			return l.once(cmd)
		},
	}
	l.addFlags(command)
	f := command.Flags()
	f.BoolVarP(&l.follow, "follow", "f", false, "write the log while the pod runs, and wait for a pod if none runs")
	f.StringVar(&l.run, "run", "", "run whose log to write: its run UUID, or its ID as history lists it")
	f.StringVarP(&l.container, "container", "c", "", "write the log of this container alone (default: all; each line then names its container)")
	f.Int64Var(&l.tail, "tail", -1, "how many of the last lines to write, -1 for all")
	f.BoolVar(&l.raw, "raw", false, "write the log as it is, also what a terminal would obey")
	command.MarkFlagsMutuallyExclusive("follow", "run")
	return command
}

func (l *logs) prepare(cmd *cobra.Command, arg string) (err error) {
	switch f := cmd.Flags(); {
	case f.Changed("run") && l.run == "":
		return usagef("--run: is empty")
	case f.Changed("container") && l.container == "":
		return usagef("--container: is empty")
	case l.tail < -1:
		return usagef("--tail: %d is less than -1", l.tail)
	}
	l.stderr, l.out = cmd.ErrOrStderr(), &lines{out: cmd.OutOrStdout(), raw: l.raw}
	l.name, err = l.ref(arg)
	return err
}

// say writes what is going on to stderr, once.
func (l *logs) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if line != l.said {
		fmt.Fprintln(l.stderr, printable(line))
	}
	l.said = line
}

// list returns the pods of the check, the oldest first.
func (l *logs) list(ctx context.Context) ([]corev1.Pod, error) {
	if l.pods == nil {
		config, err := l.rest()
		if err != nil {
			return nil, err
		}
		if l.pods, err = kube.NewPodReader(config); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return l.pods.PodsOf(ctx, l.name.namespace, l.name.name)
}

// once writes what there is of the log.
func (l *logs) once(cmd *cobra.Command) error {
	ctx := cmd.Context()
	pods, unread := l.list(ctx)
	if len(pods) > 0 {
		chosen, err := l.ofRun(cmd, pods)
		if err != nil {
			return err
		}
		if len(chosen) > 0 {
			return l.ofPods(ctx, chosen)
		}
	}
	if unread != nil {
		l.say("the pods cannot be read, so this is the evidence: %s", unread)
	}
	return l.ofEvidence(cmd, unread)
}

// ofRun returns the pods of the run that is asked for, or of the newest one.
func (l *logs) ofRun(cmd *cobra.Command, pods []corev1.Pod) ([]corev1.Pod, error) {
	newest := pods[len(pods)-1]
	uuid := newest.Labels[protocol.LabelRunID]
	if l.run != "" {
		uuid = strings.ToLower(l.run)
	}
	if chosen := withRun(pods, uuid); len(chosen) > 0 || l.run == "" {
		return chosen, nil
	}
	client, err := l.connect(cmd)
	if err != nil {
		return nil, err
	}
	run, err := apiclient.Decode[apiclient.Run](client.GetRun(cmd.Context(), l.name.namespace, l.name.name, l.run, nil))
	switch {
	case err != nil:
		return nil, err
	case run.UUID != nil:
		return withRun(pods, *run.UUID), nil
	case run.Outcome == apiclient.OutcomeRunning && !newest.CreationTimestamp.Time.Before(run.ScheduledAt.Truncate(time.Second)):
		return withRun(pods, newest.Labels[protocol.LabelRunID]), nil // the API hides the UUID of an open run, and a check has one open run
	}
	return nil, nil
}

func withRun(pods []corev1.Pod, uuid string) (chosen []corev1.Pod) {
	for _, pod := range pods {
		if pod.Labels[protocol.LabelRunID] == uuid {
			chosen = append(chosen, pod)
		}
	}
	return chosen
}

// stream is the log of one container.
type stream struct {
	pod       corev1.Pod
	container string
}

// containersOf returns the containers of a pod that are asked for, in the order in which they begin.
func (l *logs) containersOf(pod corev1.Pod) ([]string, error) {
	var all []string
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		all = append(all, c.Name)
	}
	switch {
	case l.container == "":
		return all, nil
	case !slices.Contains(all, l.container):
		return nil, usagef("--container: %q is not a container of pod %s: it has %s", l.container, pod.Name, strings.Join(all, ", "))
	}
	return []string{l.container}, nil
}

// ofPods writes the logs of the pods of one run.
func (l *logs) ofPods(ctx context.Context, pods []corev1.Pod) error {
	var streams []stream
	var waiting []error
	for _, pod := range pods {
		l.say("log of pod %s/%s, created %s, %s", pod.Namespace, pod.Name, ago(&pod.CreationTimestamp.Time, time.Now()), orDash((*string)(&pod.Status.Phase)))
		names, err := l.containersOf(pod)
		if err != nil {
			return err
		}
		for _, name := range names {
			if started, why := hasStarted(pod, name); started {
				streams = append(streams, stream{pod, name})
			} else {
				waiting = append(waiting, notStarted(pod, name, why))
			}
		}
	}
	if len(streams) == 0 {
		return errors.Join(waiting...)
	}
	for _, text := range waiting {
		l.say("%s", text)
	}
	var errs []error
	for _, s := range streams {
		errs = append(errs, l.write(ctx, s, len(streams) > 1, false))
	}
	return errors.Join(errs...)
}

func notStarted(pod corev1.Pod, container, why string) error {
	return fmt.Errorf("container %s of pod %s has not started: %s", container, pod.Name, why)
}

// hasStarted says whether a container has a log, and why it has none.
func hasStarted(pod corev1.Pod, name string) (started bool, why string) {
	s := pod.Status
	for _, c := range slices.Concat(s.InitContainerStatuses, s.ContainerStatuses) {
		if c.Name != name {
			continue
		}
		if w := c.State.Waiting; w != nil && c.LastTerminationState.Terminated == nil {
			return false, strings.TrimSuffix(w.Reason+": "+w.Message, ": ")
		}
		return true, ""
	}
	for _, c := range s.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return false, strings.TrimSuffix(c.Reason+": "+c.Message, ": ")
		}
	}
	return false, "its node has not seen the pod"
}

// write writes the log of one container.
func (l *logs) write(ctx context.Context, s stream, named, follow bool) error {
	o := &corev1.PodLogOptions{Container: s.container, Follow: follow}
	if l.tail >= 0 {
		o.TailLines = &l.tail
	}
	log, err := l.pods.Log(ctx, s.pod.Namespace, s.pod.Name, o)
	if err != nil {
		return err
	}
	defer log.Close()
	prefix := ""
	if named {
		prefix = "[" + s.pod.Name + "/" + s.container + "] "
	}
	if err := l.out.copy(prefix, log); err != nil {
		return fmt.Errorf("read log of container %s of pod %s/%s: %w", s.container, s.pod.Namespace, s.pod.Name, err)
	}
	return nil
}

// ofEvidence writes the logs of the evidence. unread is why the pods cannot be read, or nil.
func (l *logs) ofEvidence(cmd *cobra.Command, unread error) error {
	found, err := l.evidence(cmd)
	switch {
	case err != nil && unread != nil:
		return errors.Join(unread, err)
	case err != nil:
		return fmt.Errorf("%s has no pod of that run: %w", l.name, err)
	}
	r := found.Run
	var pieces []apiclient.Piece
	for _, p := range found.Pieces {
		if p.Kind == kindLog && (l.container == "" || p.Container != nil && *p.Container == l.container) {
			pieces = append(pieces, p)
		}
	}
	l.say("log from the evidence of the run %s, scheduled %s: %s", nameOfRun(r), r.ScheduledAt.UTC().Format(time.RFC3339), outcomeText(r))
	if len(pieces) == 0 {
		return errors.Join(unread, fmt.Errorf("the evidence of the run %s of %s has no log of %s; its pods are deleted", nameOfRun(r), l.name, l.what()))
	}
	for _, p := range pieces {
		prefix := ""
		if p.Cut {
			l.say("%s is cut: %s", titleOf(p), sizeOf(p))
		}
		if len(pieces) > 1 {
			prefix = "[" + strings.TrimPrefix(titleOf(p), kindLog+" ") + "] "
		}
		if err := l.out.copy(prefix, strings.NewReader(lastLines(p.Content, l.tail))); err != nil {
			return err
		}
	}
	return nil
}

// what names the containers that are asked for.
func (l *logs) what() string {
	if l.container == "" {
		return "any container"
	}
	return "container " + l.container
}

// evidence returns that of the run that is asked for, or of the newest run with evidence.
func (l *logs) evidence(cmd *cobra.Command) (found apiclient.Evidence, err error) {
	client, err := l.connect(cmd)
	if err != nil {
		return found, err
	}
	if l.run == "" {
		return evidenceAt(cmd.Context(), client, l.name, nil)
	}
	return apiclient.Decode[apiclient.Evidence](client.GetEvidence(cmd.Context(), l.name.namespace, l.name.name, l.run, nil))
}
