package activities

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	corev1 "k8s.io/api/core/v1"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// PodSources are what the cluster knows of a pod: the sources of evidence.
type PodSources interface {
	// Pod returns a pod from the cache. If the pod was removed a moment ago, it returns how the pod was last seen. It sends
	// no request.
	Pod(namespace, name string) (*corev1.Pod, bool)
	// LivePod reads a pod from the API server. It returns nil if there is none.
	LivePod(ctx context.Context, namespace, name string) (*corev1.Pod, error)
	PodEvents(ctx context.Context, namespace, name string) ([]corev1.Event, error)
	PodLog(ctx context.Context, namespace, name, container string) (check.LogTail, error)
	// FollowPodLog reads a log until the container or ctx ends.
	FollowPodLog(ctx context.Context, namespace, name, container string) (check.LogTail, error)
	// NodeRuntime returns the container runtime of a node and its version, such as containerd://1.7.24.
	NodeRuntime(ctx context.Context, node string) (string, error)
}

// Bounds of collecting evidence. A run waits for it, but its outcome is known by then.
const (
	// collectWithin bounds all requests to the API server, and askWithin one of them. putWithin bounds storing all pieces in
	// the ledger. Storing a piece that waits is bounded by its workflow.
	collectWithin = 10 * time.Second
	askWithin     = 4 * time.Second
	putWithin     = 5 * time.Second
	// A runtime reports that a container has ended when it has read all of its output. The last lines may still be on their
	// way into the file. So the log of a container that ended less than settledAfter ago is read again after a logPause. This
	// repeats until the log no longer grows, at most maxReads times.
	settledAfter = 10 * time.Second
	logPause     = time.Second
	maxReads     = 8
	// maxLogs is how many containers of a pod have their logs stored.
	maxLogs = 16
	// maxWaiting is how many bytes of evidence, as JSON, go through Temporal.
	maxWaiting = 384 << 10
)

// EvidenceInput names an attempt of a run that did not succeed.
type EvidenceInput struct {
	RecordKey
	UUID    string
	Attempt int
	// Pod is the pod of the attempt. If it has no name, there is no pod, and nothing is read from the API server.
	Pod Pod
	// Logs are those of the observation of the pod's end.
	Logs []check.Piece `json:",omitempty"`
	// Report is the report that decided the outcome. Further is the first report after it.
	Report  *check.ReceivedReport `json:",omitempty"`
	Further *check.ReceivedReport `json:",omitempty"`
	// Late is the first report that came too late to decide the outcome, and LateAt is when it was received.
	Late   *check.ReceivedReport `json:",omitempty"`
	LateAt time.Time             `json:",omitzero"`
}

// EvidenceResult has the pieces that the ledger did not take, cut to what may go through Temporal; see PutEvidence.
type EvidenceResult struct {
	Waiting []check.Piece `json:",omitempty"`
}

// KeepEvidence collects the evidence of an attempt and stores it in the ledger. It may be called again. An extra piece says
// what could not be read. Without a ledger it does nothing.
func (a *Activities) KeepEvidence(ctx context.Context, in EvidenceInput) (EvidenceResult, error) {
	if a.Ledger == nil {
		return EvidenceResult{}, nil
	}
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer heartbeat(ctx, cancel, nil)()
	c := collector{sources: a.Cluster, in: in}
	if err := c.collect(working); err != nil {
		return EvidenceResult{}, err
	}
	putting, stopPutting := context.WithTimeout(working, putWithin)
	defer stopPutting()
	waiting, err := a.put(putting, in.RecordKey, c.pieces)
	if err == nil {
		return EvidenceResult{}, nil
	}
	if stopping := context.Cause(working); stopping != nil {
		return EvidenceResult{}, stopping
	}
	activity.GetLogger(ctx).Debug("the ledger does not take evidence; it waits", "namespace", in.Ref.Namespace, "check", in.Ref.Name, "error", err)
	return EvidenceResult{Waiting: check.WithinBytes(waiting, maxWaiting)}, nil
}

// put stores pieces in the ledger. If that fails, it returns the pieces that are left.
func (a *Activities) put(ctx context.Context, key RecordKey, pieces []check.Piece) (left []check.Piece, err error) {
	for i, piece := range pieces {
		if err := a.putPiece(ctx, key, piece); err != nil {
			return pieces[i:], err
		}
		activity.RecordHeartbeat(ctx)
	}
	return nil, nil
}

// collector gathers the evidence of one attempt.
type collector struct {
	sources PodSources
	in      EvidenceInput
	pieces  []check.Piece
	missing []string
}

func (c *collector) add(kind, name string, content []byte, size int) {
	if c.in.Attempt > 0 {
		name = strings.TrimSuffix(strconv.Itoa(c.in.Attempt)+"/"+name, "/")
	}
	piece := check.NewPiece(kind, name, check.HideRun(content, c.in.UUID), size)
	piece.Content = check.Tail(piece.Content, ledger.MaxEvidence)
	c.pieces = append(c.pieces, piece)
}

func (c *collector) lacks(what string, why any) {
	c.missing = append(c.missing, fmt.Sprintf("%s: %v\n", what, why))
}

// collect fails only when the worker stops or the activity is cancelled.
func (c *collector) collect(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, collectWithin)
	defer cancel()
	for kind, report := range map[string]*check.ReceivedReport{check.EvidenceReport: c.in.Report, check.EvidenceFurther: c.in.Further} {
		if report != nil {
			content, size := report.Evidence()
			c.add(kind, "", content, size)
		}
	}
	if c.in.Late != nil {
		content, size := check.LateEvidence(*c.in.Late, c.in.LateAt, c.in.UUID)
		c.add(check.EvidenceLate, "", content, size)
	}
	if c.in.Pod.Name != "" {
		c.ofPod(bounded)
	}
	if len(c.missing) > 0 {
		c.add(check.EvidenceMissing, "", []byte(strings.Join(c.missing, "")), 0)
	}
	return context.Cause(ctx)
}

func (c *collector) ofPod(ctx context.Context) {
	pod, ok := c.sources.Pod(c.in.Pod.Namespace, c.in.Pod.Name)
	if ok {
		c.spec(ctx, pod)
		c.add(check.EvidenceStatus, "", check.StatusEvidence(pod), 0)
	} else {
		c.lacks("spec and status of pod "+c.in.Pod.Name, "this worker has not seen the pod, or it went too long ago")
	}
	c.events(ctx)
	followed := c.followed()
	switch {
	case ok:
		containers := check.ContainerLogs(pod)
		c.logs(ctx, slices.DeleteFunc(slices.Clone(containers), func(container check.ContainerLog) bool {
			return slices.Contains(followed, container.Name)
		}))
		if len(followed) > 0 || slices.ContainsFunc(containers, func(container check.ContainerLog) bool { return container.Ended }) {
			c.lostEnds(ctx, pod.Spec.NodeName)
		}
	case len(followed) == 0:
		c.lacks("logs", "the containers of the pod are not known")
	}
}

// spec adds the pod as it was created. If the pod succeeded and its check reported a failure, the cache has only a part of
// it.
func (c *collector) spec(ctx context.Context, pod *corev1.Pod) {
	if pod.Status.Phase == corev1.PodSucceeded {
		ctx, cancel := context.WithTimeout(ctx, askWithin)
		defer cancel()
		live, err := c.sources.LivePod(ctx, pod.Namespace, pod.Name)
		if err != nil || live == nil {
			c.lacks("spec of pod "+pod.Name, cmp.Or(err, errors.New("the pod is not there any more")))
			return
		}
		pod = live
	}
	c.add(check.EvidenceSpec, "", check.SpecEvidence(pod), 0)
}

// followed adds the logs that were read while the pod was being deleted, and returns the names of their containers.
func (c *collector) followed() (containers []string) {
	for _, piece := range c.in.Logs {
		if piece.Kind == check.EvidenceMissing {
			c.lacks("log of container "+piece.Name, piece.Content)
			continue
		}
		c.add(check.EvidenceLog, piece.Name, []byte(piece.Content), piece.Size)
		containers = append(containers, piece.Name)
	}
	return containers
}

// lostEnds adds a note if the node's container runtime may have lost the last lines of the logs.
func (c *collector) lostEnds(ctx context.Context, node string) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	runtime, err := c.sources.NodeRuntime(ctx, node)
	if err != nil {
		c.lacks("logs", fmt.Sprintf("their last lines may be missing: the node's container runtime is not known: %v", err))
	} else if why := check.MayLoseLogEnd(runtime); why != "" {
		c.lacks("logs", "their last lines may be missing: "+why)
	}
}

func (c *collector) events(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	events, err := c.sources.PodEvents(ctx, c.in.Pod.Namespace, c.in.Pod.Name)
	switch {
	case err != nil:
		c.lacks("events", err)
	case len(events) == 0:
		c.lacks("events", "there are none of this pod")
	default:
		c.add(check.EvidenceEvents, "", check.EventsEvidence(events), 0)
	}
}

// logs reads the logs of containers until they no longer grow.
func (c *collector) logs(ctx context.Context, containers []check.ContainerLog) {
	tails := map[string]check.LogTail{}
	reading := containers
	for read := 0; read < maxReads && len(reading) > 0 && (read == 0 || sleep(ctx, logPause)); read++ {
		reading = slices.DeleteFunc(slices.Clone(reading), func(container check.ContainerLog) bool {
			before, again := tails[container.Name]
			tail, ok := c.log(ctx, container, again, len(tails))
			if ok {
				tails[container.Name] = tail
			}
			return !ok || again && bytes.Equal(tail.Content, before.Content) || time.Since(container.EndedAt) > settledAfter
		})
	}
	for _, container := range reading {
		c.lacks("log of container "+container.Name, "its last lines may be missing: it still grew when the time was up")
	}
	for _, container := range containers {
		if tail, ok := tails[container.Name]; ok {
			c.add(check.EvidenceLog, container.Name, tail.Content, tail.Size)
		}
	}
}

func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// log reads the log of a container. It returns false if the pod has too many containers.
func (c *collector) log(ctx context.Context, container check.ContainerLog, again bool, others int) (tail check.LogTail, ok bool) {
	what := "log of container " + container.Name
	switch {
	case !container.Started:
		c.lacks(what, "it was not seen to start")
		return tail, false
	case others >= maxLogs && !again:
		c.lacks(what, fmt.Sprintf("those of %d containers are kept", maxLogs))
		return tail, false
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	tail, err := c.sources.PodLog(ctx, c.in.Pod.Namespace, c.in.Pod.Name, container.Name)
	switch {
	case err != nil && again:
		c.lacks(what, fmt.Sprintf("its last lines may be missing: %v", err))
	case err != nil:
		c.lacks(what, err)
	}
	return tail, err == nil
}
