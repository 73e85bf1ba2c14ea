package activities

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// The kinds of evidence. The name of a piece begins with the attempt of its run, so that no attempt replaces another's.
const (
	// EvidenceSpec is the pod as it was made, EvidenceStatus how it was last seen.
	EvidenceSpec   = "spec"
	EvidenceStatus = "status"
	EvidenceEvents = "events"
	// EvidenceLog is the end of a container's log; its name is ATTEMPT/CONTAINER.
	EvidenceLog = "log"
	// EvidenceReport is the report that was the verdict, EvidenceFurther the first of those that came after it, and
	// EvidenceLate the first that came when the run was over.
	EvidenceReport  = "report"
	EvidenceFurther = "further-report"
	EvidenceLate    = "late-report"
	// EvidenceMissing says what could not be had, and why.
	EvidenceMissing = "missing"
)

// Piece is one piece of evidence.
type Piece = ledger.Evidence

// Bounds of collecting evidence. A run waits for it, but its outcome is known by then.
const (
	// collectWithin bounds all questions to the API server, askWithin one, and putWithin all pieces to the ledger; what waits
	// for that has the time of its workflow.
	collectWithin = 10 * time.Second
	askWithin     = 4 * time.Second
	putWithin     = 5 * time.Second
	// A log may lag behind the end of its container: on a busy node, by seconds. One that ended less than settledAfter ago is
	// read again, each time a logPause later, until it is the same twice, but not more than maxReads times in all.
	settledAfter = 10 * time.Second
	logPause     = time.Second
	maxReads     = 8
	// maxLogs is of how many containers of a pod the logs are kept.
	maxLogs = 16
	// maxPacked is how many bytes of evidence go through Temporal, in whose histories they take a third more.
	maxPacked = 384 << 10
)

// EvidenceInput names an attempt of a run that did not succeed.
type EvidenceInput struct {
	Due
	UUID    string
	Attempt int
	// Pod is its pod. Without a name there is none, and nothing is asked for.
	Pod Pod
	// Logs are those of the observation of the pod's end.
	Logs []byte `json:",omitempty"`
	// Report is the one that was the verdict, and Further the first that came after it.
	Report  *check.ReceivedReport `json:",omitempty"`
	Further *check.ReceivedReport `json:",omitempty"`
}

// EvidenceResult has what the ledger did not take, packed; see PutEvidence.
type EvidenceResult struct {
	Waiting []byte `json:",omitempty"`
}

// KeepEvidence collects what there is of an attempt and puts it into the ledger. It may be called again. What cannot be had
// is said in a piece of its own. Without a ledger it does nothing.
func (a *Activities) KeepEvidence(ctx context.Context, in EvidenceInput) (EvidenceResult, error) {
	if a.Ledger == nil {
		return EvidenceResult{}, nil
	}
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer heartbeat(ctx, cancel, nil)()
	c := collector{a: a, in: in}
	if err := c.collect(working); err != nil {
		return EvidenceResult{}, err
	}
	putting, stopPutting := context.WithTimeout(working, putWithin)
	defer stopPutting()
	waiting, err := a.put(putting, in.Due, c.pieces)
	if err == nil {
		return EvidenceResult{}, nil
	}
	if stopping := context.Cause(working); stopping != nil {
		return EvidenceResult{}, stopping
	}
	activity.GetLogger(ctx).Warn("the ledger does not take evidence; it waits", "check", in.Ref.String(), "error", err)
	packed, err := packWithin(waiting)
	return EvidenceResult{Waiting: packed}, err
}

// put puts pieces into the ledger and returns those that are left when that fails.
func (a *Activities) put(ctx context.Context, due Due, pieces []Piece) (left []Piece, err error) {
	for i, piece := range pieces {
		err := a.Ledger.PutEvidence(ctx, accountOf(due).Key, piece)
		if errors.Is(err, ledger.ErrEvidenceFull) || errors.Is(err, ledger.ErrInvalid) { // it will never take it
			activity.GetLogger(ctx).Error("the ledger refuses evidence", "check", due.Ref.String(), "kind", piece.Kind, "error", err)
			continue
		}
		if err != nil {
			return pieces[i:], err
		}
		activity.RecordHeartbeat(ctx)
	}
	return nil, nil
}

// WaitingEvidence is evidence that could not be put into the ledger at once.
type WaitingEvidence struct {
	Due
	// Part tells what waits of one run apart.
	Part   int
	Packed []byte `json:",omitempty"`
	// Pieces are not packed.
	Pieces []Piece `json:",omitempty"`
}

// PutEvidence puts what waited into the ledger. It may be called again.
func (a *Activities) PutEvidence(ctx context.Context, in WaitingEvidence) error {
	if a.Ledger == nil {
		return nil
	}
	pieces, err := unpack(in.Packed)
	if err != nil {
		return err
	}
	if _, err := a.put(ctx, in.Due, slices.Concat(pieces, in.Pieces)); err != nil {
		return fmt.Errorf("put evidence of %s: %w", in.Ref, err)
	}
	return nil
}

// collector gathers the evidence of one attempt.
type collector struct {
	a       *Activities
	in      EvidenceInput
	pieces  []Piece
	missing []string
}

func (c *collector) add(kind, name string, content []byte, size int) {
	if c.in.Attempt > 0 {
		name = strings.TrimSuffix(strconv.Itoa(c.in.Attempt)+"/"+name, "/")
	}
	content = check.HideRun(content, c.in.UUID)
	if extra := len(content) - ledger.MaxEvidence; extra > 0 {
		content, size = content[extra:], max(size, len(content))
	}
	c.pieces = append(c.pieces, Piece{Kind: kind, Name: name, Content: content, Size: max(size, len(content))})
}

func (c *collector) lacks(what string, why any) {
	c.missing = append(c.missing, fmt.Sprintf("%s: %v\n", what, why))
}

// collect fails only when the worker stops or the activity is cancelled.
func (c *collector) collect(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, collectWithin)
	defer cancel()
	for kind, report := range map[string]*check.ReceivedReport{EvidenceReport: c.in.Report, EvidenceFurther: c.in.Further} {
		if report != nil {
			content, size := report.Evidence()
			c.add(kind, "", content, size)
		}
	}
	if c.in.Pod.Name != "" {
		if err := c.ofPod(bounded); err != nil {
			return err
		}
	}
	if len(c.missing) > 0 {
		c.add(EvidenceMissing, "", []byte(strings.Join(c.missing, "")), 0)
	}
	return context.Cause(ctx)
}

func (c *collector) ofPod(ctx context.Context) error {
	followed, err := unpack(c.in.Logs)
	if err != nil {
		return err
	}
	pod, ok := c.a.Cluster.Pod(c.in.Pod.Namespace, c.in.Pod.Name)
	if ok {
		c.add(EvidenceSpec, "", check.SpecEvidence(pod), 0)
		c.add(EvidenceStatus, "", check.StatusEvidence(pod), 0)
	} else {
		c.lacks("spec and status of pod "+c.in.Pod.Name, "this worker has not seen the pod, or it went too long ago")
	}
	c.events(ctx)
	for _, log := range followed {
		c.add(EvidenceLog, log.Name, log.Content, log.Size)
	}
	if ok {
		c.logs(ctx, slices.DeleteFunc(check.ContainerLogs(pod), func(container check.ContainerLog) bool {
			return slices.ContainsFunc(followed, func(e Piece) bool { return e.Name == container.Name })
		}))
	} else if len(followed) == 0 {
		c.lacks("logs", "the containers of the pod are not known")
	}
	return nil
}

func (c *collector) events(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	events, err := c.a.Cluster.PodEvents(ctx, c.in.Pod.Namespace, c.in.Pod.Name)
	switch {
	case err != nil:
		c.lacks("events", err)
	case len(events) == 0:
		c.lacks("events", "there are none of this pod")
	default:
		c.add(EvidenceEvents, "", check.EventsEvidence(events), 0)
	}
}

// logs reads the logs of containers until they have settled.
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
			return !ok || again && bytes.Equal(tail.Content, before.Content) || time.Since(container.Ended) > settledAfter
		})
	}
	for _, container := range containers {
		if tail, ok := tails[container.Name]; ok {
			c.add(EvidenceLog, container.Name, tail.Content, tail.Size)
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

// log reads the log of a container, again or as the first after so many others.
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
	tail, err := c.a.Cluster.PodLog(ctx, c.in.Pod.Namespace, c.in.Pod.Name, container.Name)
	if err != nil && !again {
		c.lacks(what, err)
	}
	return tail, err == nil
}

// packWithin packs pieces into no more than maxPacked bytes: as long as they are too large, the longest log is halved. All
// else together is smaller.
func packWithin(pieces []Piece) ([]byte, error) {
	pieces = slices.Clone(pieces)
	for {
		packed, err := pack(pieces)
		if err != nil || len(packed) <= maxPacked {
			return packed, err
		}
		longest := -1
		for i, e := range pieces {
			if e.Kind == EvidenceLog && (longest < 0 || len(e.Content) > len(pieces[longest].Content)) {
				longest = i
			}
		}
		if longest < 0 || len(pieces[longest].Content) == 0 {
			return nil, fmt.Errorf("evidence of %d bytes is too large to wait", len(packed))
		}
		content := pieces[longest].Content
		pieces[longest].Content = content[len(content)-len(content)/2:]
	}
}

func pack(pieces []Piece) ([]byte, error) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if err := gob.NewEncoder(w).Encode(pieces); err != nil {
		return nil, fmt.Errorf("pack evidence: %w", err)
	}
	err := w.Close()
	return packed.Bytes(), err
}

// maxUnpacked bounds what is unpacked, in bytes.
const maxUnpacked = 2 * ledger.MaxPieces * ledger.MaxEvidence

func unpack(packed []byte) (pieces []Piece, err error) {
	if len(packed) == 0 {
		return nil, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err == nil {
		err = gob.NewDecoder(io.LimitReader(r, maxUnpacked)).Decode(&pieces)
	}
	if err != nil {
		return nil, fmt.Errorf("unpack evidence: %w", err)
	}
	return pieces, nil
}
