package check

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/khronicle/khronicle/internal/protocol"
)

// Blame is whose fault it is that a pod did not start or end, as far as the evidence says.
type Blame string

// Who may be to blame. No blame means that the evidence does not say.
const (
	BlameCheck    Blame = "check"
	BlamePlatform Blame = "platform"
)

// or returns an outcome for this blame, and unknown if nobody is to blame.
func (b Blame) or(unknown Outcome) Outcome {
	switch b {
	case BlameCheck:
		return Failed
	case BlamePlatform:
		return InfraFailed
	}
	return unknown
}

// Reasons of events of a pod.
const (
	eventPulling      = "Pulling"
	eventPulled       = "Pulled"
	eventNoPullSecret = "FailedToRetrieveImagePullSecret"
	eventNotScheduled = "FailedScheduling"
	eventNodeNotReady = "NodeNotReady"
)

// idle are the reasons of warnings that do not explain why a pod has not started or ended. Some repeat the status of a
// container.
var idle = []string{"DNSConfigForming", "MissingClusterDNS", "Failed", "BackOff"}

// byTheCheck are the reasons of warnings about what the containers of a check do.
var byTheCheck = []string{"Unhealthy", "FailedPostStartHook"}

// Bounds of the warnings in a text.
const (
	maxWarnings     = 3
	maxWarningBytes = 600
)

// missingObject finds the message about an object that the spec names and that does not exist, or that lacks a key.
var missingObject = regexp.MustCompile(
	`(?i)\b(secret|configmap|persistentvolumeclaim|serviceaccount)s? "[^"]*" not found|references non-existent (secret|config) key`)

// Explain adds to an observation why its pod has not started or not ended. It reads the status, the spec and the events of
// the pod.
func Explain(o Observation, pod *corev1.Pod, events []corev1.Event) Observation {
	newest := slices.SortedStableFunc(slices.Values(events), func(a, b corev1.Event) int { return eventTime(b).Compare(eventTime(a)) })
	found := signs{pod, newest}
	switch {
	case o.Ended || o.AllEnded:
	case o.Started:
		o.adds(found.whileRunning(o.RunningSince))
	case o.Hopeless != "":
		o.adds(found.noPullSecret())
	case pod.Spec.NodeName == "":
		o.replaces(found.beforeNode(o.Detail))
	default:
		o.replaces(found.onNode(o.Detail))
	}
	o.Detail = HideRunIn(o.Detail, pod.Labels[protocol.LabelRunID]) // events quote commands and labels
	return o
}

// cause is one explanation.
type cause struct {
	text  string
	blame Blame
	// missing is the reason if an object that the spec names does not exist.
	missing string
}

// adds appends a cause to the detail of the observation.
func (o *Observation) adds(c cause) {
	c.text = joinedTexts(o.Detail, c.text)
	o.replaces(c)
}

// replaces makes a cause the detail of the observation. A cause without a text changes nothing.
func (o *Observation) replaces(c cause) {
	if c.text == "" {
		return
	}
	o.Detail, o.Blame, o.Missing = c.text, cmp.Or(c.blame, o.Blame), c.missing
}

// signs are a pod and its events, the newest first.
type signs struct {
	pod    *corev1.Pod
	events []corev1.Event
}

// whileRunning is what warnings say about a pod that runs and does not report or exit.
func (s signs) whileRunning(since time.Time) cause {
	warnings := s.warnings(since)
	found := cause{text: texts(warnings)}
	if slices.ContainsFunc(warnings, hasReason(eventNodeNotReady)) {
		found.blame = BlamePlatform
	}
	return found
}

// noPullSecret says that a secret for pulling images does not exist. Without it, a registry may refuse the image.
func (s signs) noPullSecret() cause {
	missing := slices.DeleteFunc(s.warnings(time.Time{}), func(e corev1.Event) bool { return e.Reason != eventNoPullSecret })
	if len(missing) == 0 {
		return cause{}
	}
	return cause{text: texts(missing), blame: BlameCheck}
}

// beforeNode says why a pod has no node. detail is what the scheduler wrote into its status.
func (s signs) beforeNode(detail string) cause {
	scheduled, ok := condition(s.pod, corev1.PodScheduled)
	switch {
	case ok && scheduled.Reason == corev1.PodReasonSchedulingGated:
		var gates []string
		for _, gate := range s.pod.Spec.SchedulingGates {
			gates = append(gates, gate.Name)
		}
		return cause{text: "pod waits for its scheduling gates: " + strings.Join(gates, ", ")}
	case ok && missingObject.MatchString(scheduled.Message):
		return cause{text: detail, blame: BlameCheck, missing: corev1.PodReasonUnschedulable}
	case ok && strings.Contains(scheduled.Message, "unbound immediate PersistentVolumeClaims"):
		return cause{text: detail + " The claims of the pod: " + strings.Join(s.claims(), ", "), blame: BlamePlatform}
	case ok:
		return cause{text: detail, blame: BlamePlatform}
	}
	if i := slices.IndexFunc(s.events, hasReason(eventNotScheduled)); i >= 0 {
		return cause{text: texts(s.events[i : i+1]), blame: BlamePlatform}
	}
	return cause{text: fmt.Sprintf("no scheduler has looked at the pod: its schedulerName is %q", s.pod.Spec.SchedulerName), blame: BlamePlatform}
}

// claims are the names of the PersistentVolumeClaims of the pod.
func (s signs) claims() []string {
	var names []string
	for _, volume := range s.pod.Spec.Volumes {
		switch {
		case volume.PersistentVolumeClaim != nil:
			names = append(names, volume.PersistentVolumeClaim.ClaimName)
		case volume.Ephemeral != nil:
			names = append(names, s.pod.Name+"-"+volume.Name)
		}
	}
	return names
}

// onNode says why a pod that has a node has not started. detail is what the kubelet wrote into its status.
func (s signs) onNode(detail string) cause {
	if s.pod.Status.StartTime == nil && len(statuses(s.pod)) == 0 {
		return cause{text: fmt.Sprintf("the kubelet of node %s has not looked at the pod", s.pod.Spec.NodeName), blame: BlamePlatform}
	}
	if text := s.initContainer(); text != "" {
		return cause{text: text}
	}
	warnings := s.warnings(time.Time{})
	if pull, ok := s.pull(); ok && (len(warnings) == 0 || !eventTime(pull).Before(eventTime(warnings[0]))) {
		return cause{text: pullText(pull), blame: BlamePlatform}
	}
	if len(warnings) == 0 && detail == "" {
		return cause{text: fmt.Sprintf("the kubelet of node %s has not started a container of the pod", s.pod.Spec.NodeName)}
	}
	return warned(warnings)
}

// initContainer names the init container for which the others wait.
func (s signs) initContainer() string {
	for _, status := range s.pod.Status.InitContainerStatuses {
		running := status.State.Running
		switch sidecar := isSidecarOf(s.pod, status.Name); {
		case running == nil:
		case !sidecar:
			return fmt.Sprintf("init container %s has not ended: it runs since %s", status.Name, running.StartedAt.UTC().Format(time.RFC3339))
		case status.Started != nil && !*status.Started:
			return joinedTexts(fmt.Sprintf("sidecar %s runs since %s, but its startup probe has not succeeded",
				status.Name, running.StartedAt.UTC().Format(time.RFC3339)), texts(s.warnings(running.StartedAt.Time)))
		}
	}
	return ""
}

// pull returns the event of an image that is being pulled. Of several, it is the oldest.
func (s signs) pull() (pulling corev1.Event, ok bool) {
	var pulled []string
	for _, e := range s.events {
		container := e.InvolvedObject.FieldPath
		switch {
		case e.Reason == eventPulled:
			pulled = append(pulled, container)
		case e.Reason == eventPulling && !slices.Contains(pulled, container):
			pulling, ok = e, true
		}
	}
	return pulling, ok
}

// pullText returns, for example: container main: Pulling image "registry.example/check:1", since 2026-03-01T12:00:00Z.
func pullText(pulling corev1.Event) string {
	text := fmt.Sprintf("%s, since %s", pulling.Message, eventTime(pulling).UTC().Format(time.RFC3339))
	if _, name, ok := strings.Cut(pulling.InvolvedObject.FieldPath, "{"); ok { // such as spec.containers{main}
		text = joined("container "+strings.TrimSuffix(name, "}"), text)
	}
	return text
}

// warned is the cause that warnings about volumes, network and images tell.
func warned(warnings []corev1.Event) cause {
	found := cause{text: texts(warnings)}
	for _, e := range slices.Backward(warnings) { // the newest decides, and a missing object before all others
		switch {
		case missingObject.MatchString(e.Message):
			found.missing, found.blame = e.Reason, BlameCheck
		case found.missing != "":
		case slices.Contains(byTheCheck, e.Reason):
			found.blame = ""
		default:
			found.blame = BlamePlatform
		}
	}
	return found
}

// warnings are the newest warnings since a time, the newest first. Of those with the same text, the newest is there.
func (s signs) warnings(since time.Time) []corev1.Event {
	var newest []corev1.Event
	for _, e := range s.events {
		known := slices.ContainsFunc(newest, func(n corev1.Event) bool { return n.Reason == e.Reason && n.Message == e.Message })
		if e.Type == corev1.EventTypeWarning && !known && !slices.Contains(idle, e.Reason) && !eventTime(e).Before(since) {
			newest = append(newest, e)
		}
	}
	return newest[:min(len(newest), maxWarnings)]
}

func texts(events []corev1.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, Cut(joined(e.Reason, strings.ReplaceAll(e.Message, "\n", " ")), maxWarningBytes))
	}
	return strings.Join(all, "; ")
}

func hasReason(reason string) func(corev1.Event) bool {
	return func(e corev1.Event) bool { return e.Reason == reason }
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType) (corev1.PodCondition, bool) {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c, true
		}
	}
	return corev1.PodCondition{}, false
}

// bySpec are the reasons of waiting containers that the spec of the pod causes.
var bySpec = append([]string{"CreateContainerConfigError"}, neverStarts...)

// noProgram finds the message about a container whose program is not in its image.
var noProgram = regexp.MustCompile(`no command specified|executable file not found|exec: ".*": (stat|permission denied|no such file)`)

// blameOfWait is whose fault it is that a container cannot start, by its own status.
func blameOfWait(o Observation) Blame {
	if slices.Contains(bySpec, o.Hopeless) || noProgram.MatchString(o.Detail) {
		return BlameCheck
	}
	return BlamePlatform
}
