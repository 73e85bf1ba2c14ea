package view

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// Evidence is what the ledger stores of the attempts of a run that did not succeed.
type Evidence struct {
	Run Run
	// Containers are the last states of the containers, attempt by attempt.
	Containers []Container
	// Pieces are in the order in which people read them.
	Pieces []Piece
	// Hidden is true when evidence is not shown to readers, whether there is some or not.
	Hidden bool
}

// Piece is one piece of evidence. Its content is what somebody else wrote: never show it as markup or to a terminal as it is.
type Piece struct {
	check.Piece
	// Attempt counts from 1. It is 0 for a piece of the whole run.
	Attempt int
	// Container is whose log it is, and else empty.
	Container string
}

// Cut is true when the content is a part of the whole: the end of a log, the beginning of anything else.
func (p Piece) Cut() bool { return p.Size > len(p.Content) }

// Container is the last known state of one container of an attempt.
type Container struct {
	Attempt int
	Name    string
	// State is waiting, running or terminated.
	State           string
	ExitCode        int32
	Reason, Message string
	// Started is when it began to run, and Finished when it ended. Each is zero where it is not known.
	Started, Finished time.Time
}

// kindOrder is the order in which evidence is shown. Other kinds come first.
var kindOrder = []string{
	check.EvidenceStatus, check.EvidenceEvents, check.EvidenceLog, check.EvidenceReport,
	check.EvidenceFurther, check.EvidenceLate, check.EvidenceMissing, check.EvidenceSpec,
}

// SortEvidence puts pieces in the order in which people read them.
func SortEvidence(pieces []ledger.Evidence) {
	slices.SortStableFunc(pieces, func(a, b ledger.Evidence) int {
		return cmp.Compare(slices.Index(kindOrder, a.Kind), slices.Index(kindOrder, b.Kind))
	})
}

// Evidence returns the evidence of a run; see FindRun. A run without evidence has no pieces: its first attempt succeeded, it had no
// pod, or the evidence was pruned. There is none either if it is hidden, or without a ledger.
func (v *View) Evidence(ctx context.Context, ref check.Ref, id string) (Evidence, error) {
	run, err := v.FindRun(ctx, ref, id)
	if err != nil || v.Ledger == nil || v.HideEvidence {
		return Evidence{Run: run, Hidden: v.HideEvidence}, err
	}
	pieces, err := v.Ledger.Evidence(ctx, run.key)
	if err != nil {
		return Evidence{}, err
	}
	SortEvidence(pieces)
	e := Evidence{Run: run}
	for _, p := range pieces {
		piece := newPiece(p)
		e.Pieces = append(e.Pieces, piece)
		if p.Kind == check.EvidenceStatus {
			e.Containers = append(e.Containers, containers(piece)...)
		}
	}
	return e, nil
}

// newPiece reads the attempt and the container from the name of a piece, such as "1/main".
func newPiece(p check.Piece) Piece {
	piece := Piece{Piece: p}
	attempt, rest, _ := strings.Cut(p.Name, "/")
	if n, err := strconv.Atoi(attempt); err == nil {
		piece.Attempt = n
		if p.Kind == check.EvidenceLog {
			piece.Container = rest
		}
	}
	return piece
}

// containers reads the containers of a pod from its status. A status that was cut has none.
func containers(piece Piece) (all []Container) {
	var seen struct{ Status corev1.PodStatus }
	if json.Unmarshal([]byte(piece.Content), &seen) != nil {
		return nil
	}
	s := seen.Status
	for _, c := range slices.Concat(s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses) {
		all = append(all, containerOf(piece.Attempt, c))
	}
	return all
}

func containerOf(attempt int, c corev1.ContainerStatus) Container {
	one := Container{Attempt: attempt, Name: c.Name, State: "waiting"}
	switch state := c.State; {
	case state.Terminated != nil:
		t := state.Terminated
		one.State, one.ExitCode, one.Reason, one.Message, one.Finished = "terminated", t.ExitCode, t.Reason, t.Message, t.FinishedAt.UTC()
		one.Started = t.StartedAt.UTC()
	case state.Running != nil:
		one.State, one.Started = "running", state.Running.StartedAt.UTC()
	case state.Waiting != nil:
		one.Reason, one.Message = state.Waiting.Reason, state.Waiting.Message
	}
	return one
}
