package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/view"
)

// runPage is the page of a run.
type runPage struct {
	view.Run
	Kind, CheckPath, Outcome string
	Shape                    chart
	Facts                    []fact
	// Temporal is the address of the run in Temporal's web UI, or empty.
	Temporal string
	Lanes    []lane
	Phases   []phase
	// Containers and Pieces are the evidence.
	Containers []view.Container
	Pieces     []piece
	// NoEvidence says why there is none, or is empty.
	NoEvidence string
	// Since is what changed since the last success before this run. It is nil for a run that succeeded.
	Since *comparison
}

// piece is a piece of evidence with a title.
type piece struct {
	view.Piece
	ID, Title string
	// Open is true for what is read first.
	Open bool
}

// run serves GET /checks/{namespace}/{name}/runs/{run}, where run is a run UUID or the ID of a run. 200, 400: a parameter is
// wrong. 404: there is no such run, or the run UUID is that of an open one. 503: the ledger does not answer.
func (p *Pages) run(r *http.Request) (answered, error) {
	s := p.View.Snapshot()
	ref, _, err := p.refOf(r, s)
	if err != nil {
		return answered{}, err
	}
	found, err := p.View.Evidence(r.Context(), ref, r.PathValue("run"))
	if errors.Is(err, view.ErrNoRun) {
		return answered{}, &problem{http.StatusNotFound, fmt.Sprintf("There is no run %s of %s. Its record may have been pruned.", shorten(r.PathValue("run")), shorten(ref.String()))}
	}
	if err != nil {
		return answered{}, err
	}
	run := found.Run
	body := runPage{
		Run: run, Kind: kindWord(ref.Kind), CheckPath: rootOf(r).check(ref), Outcome: outcomeWord(run.Outcome), Shape: sampleOf(run),
		Facts: runFacts(run), Temporal: p.temporalURL(run), Containers: found.Containers, Pieces: piecesOf(found.Pieces),
		Lanes: lanesOf(found, s.At), Phases: phasesOf(run), NoEvidence: sayEvidence(run, found, s.Ledger),
	}
	if run.Outcome != check.Succeeded {
		if body.Since, err = p.sinceSuccess(r.Context(), ref, found, rootOf(r)); err != nil {
			return answered{}, err
		}
	}
	live := ""
	if run.Open() {
		live = byStream
	}
	return answered{template: "run", Title: "Run of " + ref.String(), Live: live, Only: keyOf(ref), At: s.At, Body: body}, nil
}

// temporalURL is the address of a run in Temporal's web UI. A run that is open has none: its workflow ID is its run UUID.
func (p *Pages) temporalURL(run view.Run) string {
	if p.Temporal == nil || run.Open() || run.UUID == "" {
		return ""
	}
	return p.Temporal.JoinPath("namespaces", url.PathEscape(p.TemporalNamespace), "workflows", url.PathEscape(run.UUID)).String()
}

func runFacts(run view.Run) []fact {
	facts := []fact{}
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, fact{name, value})
		}
	}
	if run.Timed {
		add("Duration", took(run.Duration))
	}
	add("Trigger", string(run.Trigger))
	add("Attempts", fmt.Sprint(run.Attempts))
	if run.InfraFailures > 0 {
		add("Infrastructure failures", fmt.Sprint(run.InfraFailures))
	}
	if run.Queued > 0 {
		add("Waited for its turn", took(run.Queued))
	}
	add("Node", run.Node)
	add("Image", run.ImageDigest)
	add("Hash of the spec", run.SpecHash)
	add("Run UUID", run.UUID)
	return facts
}

// titles are those of the kinds of evidence.
var titles = map[string]string{
	check.EvidenceSpec: "Pod as it was made", check.EvidenceStatus: "Status of the pod", check.EvidenceEvents: "Events of the pod", check.EvidenceLog: "Log",
	check.EvidenceReport: "Report", check.EvidenceFurther: "Further report", check.EvidenceLate: "Late report", check.EvidenceMissing: "What could not be read",
}

func piecesOf(all []view.Piece) (pieces []piece) {
	for i, one := range all {
		title := titles[one.Kind]
		if title == "" {
			title = one.Kind
		}
		if one.Container != "" {
			title += " of the container " + one.Container
		}
		if one.Attempt > 0 {
			title += fmt.Sprintf(", attempt %d", one.Attempt)
		}
		open := one.Kind == check.EvidenceLog || one.Kind == check.EvidenceEvents || one.Kind == check.EvidenceMissing
		pieces = append(pieces, piece{one, fmt.Sprintf("evidence-%d", i+1), title, open})
	}
	return pieces
}

// evidenceHidden says where evidence can be read that pages do not show.
const evidenceHidden = "Evidence, such as logs, is not shown here, because anyone may read this page. " +
	"khronicle evidence reads it from the ledger. With --show-evidence, the report API shows it."

func sayEvidence(run view.Run, e view.Evidence, ledger view.LedgerState) string {
	switch {
	case e.Hidden:
		return evidenceHidden
	case len(e.Pieces) > 0:
		return ""
	case ledger == view.LedgerNone:
		return "There is no ledger, so there is no evidence."
	case run.Open():
		return "The run is open. Evidence is stored when an attempt has failed."
	case run.Outcome == check.Succeeded && !run.Flaky:
		return "Evidence is stored of failed attempts alone."
	}
	return "There is no evidence: the run had no pod, or the evidence was pruned."
}

// phase is a moment of a run.
type phase struct {
	Name string
	At   time.Time
	// After is the time since the phase before.
	After string
}

// phasesOf are the moments of a run that are known, in their order.
func phasesOf(run view.Run) (phases []phase) {
	last := time.Time{}
	for _, one := range momentsOf(run) {
		if one.At.IsZero() {
			continue
		}
		if !last.IsZero() {
			one.After = "+" + took(one.At.Sub(last))
		}
		last = one.At
		phases = append(phases, one)
	}
	return phases
}
