package check

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/internal/protocol"
)

// MaxEvidence is the longest content of one piece of evidence, in bytes.
const MaxEvidence = 64 << 10

// The kinds of evidence. The name of a piece begins with the attempt of its run, so that no attempt replaces another's.
const (
	// EvidenceSpec is the pod as it was made, EvidenceStatus how it was last seen.
	EvidenceSpec   = "spec"
	EvidenceStatus = "status"
	EvidenceEvents = "events"
	// EvidenceLog is the end of a container's log; its name is ATTEMPT/CONTAINER.
	EvidenceLog = "log"
	// EvidenceReport is the report that decided the outcome. EvidenceFurther is the first report after it. EvidenceLate is
	// the first report that came too late to decide the outcome.
	EvidenceReport  = "report"
	EvidenceFurther = "further-report"
	EvidenceLate    = "late-report"
	// EvidenceMissing says what could not be read, and why.
	EvidenceMissing = "missing"
)

// Piece is one piece of evidence: a container's log, the pod's events, a report. Kind and Name identify it within its run.
type Piece struct {
	// Kind says what it is, such as "log", and Name of what, such as the container's name.
	Kind string `json:"kind"`
	Name string `json:"name,omitempty"`
	// Content is valid UTF-8. Of a log that is longer than MaxEvidence it is the end.
	Content string `json:"content,omitempty"`
	// Size is how long the whole was, in bytes.
	Size int `json:"size,omitempty"`
}

// NewPiece makes a piece of a content. U+FFFD replaces what is not UTF-8. A size of 0 means that the size of the whole is
// not known.
func NewPiece(kind, name string, content []byte, size int) Piece {
	text := strings.ToValidUTF8(string(content), "\uFFFD")
	return Piece{Kind: kind, Name: name, Content: text, Size: max(size, len(text))}
}

// Tail returns at most the last n bytes of a text. It does not split a character.
func Tail(text string, n int) string {
	text = text[max(0, len(text)-n):]
	for len(text) > 0 && !utf8.RuneStart(text[0]) {
		text = text[1:]
	}
	return text
}

// WithinBytes shortens pieces until their JSON has at most limit bytes. Each step cuts the first half of the longest log.
// When no log is left, it cuts the longest of the other pieces.
func WithinBytes(pieces []Piece, limit int) []Piece {
	pieces = slices.Clone(pieces)
	for {
		encoded, err := json.Marshal(pieces)
		if err != nil || len(encoded) <= limit { // texts and numbers have no error
			return pieces
		}
		longest := longestOf(pieces, func(p Piece) bool { return p.Kind == EvidenceLog })
		if longest < 0 {
			longest = longestOf(pieces, func(Piece) bool { return true })
		}
		if longest < 0 {
			return pieces // names alone: too small to matter
		}
		pieces[longest].Content = Tail(pieces[longest].Content, len(pieces[longest].Content)/2)
	}
}

// longestOf returns the index of the piece with the longest content, or -1 if no piece has content.
func longestOf(pieces []Piece, of func(Piece) bool) int {
	longest := -1
	for i, p := range pieces {
		if of(p) && p.Content != "" && (longest < 0 || len(p.Content) > len(pieces[longest].Content)) {
			longest = i
		}
	}
	return longest
}

// LogTail is the end of a container's log.
type LogTail struct {
	// Content may be a little longer than MaxEvidence, so that a secret at the cut is hidden as a whole.
	Content []byte
	// Size is the length of the log in bytes. Of a very long log it is how much was read.
	Size int
	// Cut is true when the reader stopped before the log ended.
	Cut bool
}

// SpecEvidence returns a pod as it was made, without its status, as JSON: metadata and spec with all defaults. Values of
// variables and of HTTP headers, and the run UUID, are replaced by their lengths.
func SpecEvidence(pod *corev1.Pod) []byte {
	kept := pod.DeepCopy()
	kept.ManagedFields, kept.Status = nil, corev1.PodStatus{}
	delete(kept.Annotations, corev1.LastAppliedConfigAnnotation) // it repeats the values
	node := tree(kept)
	delete(node, "status")
	redact(node)
	return HideRun(encode(node), pod.Labels[protocol.LabelRunID])
}

// SpecText returns the spec of a pod as JSON. Values of variables and of HTTP headers are replaced by their lengths.
func SpecText(spec *corev1.PodSpec) []byte {
	node := tree(spec)
	redact(node)
	return encode(node)
}

// StatusEvidence returns how a pod was last seen, as JSON: its phase, the exit codes, reasons and times of its containers.
func StatusEvidence(pod *corev1.Pod) []byte {
	kept := map[string]any{"status": tree(&pod.Status)}
	if pod.DeletionTimestamp != nil {
		kept["deletionTimestamp"] = pod.DeletionTimestamp
	}
	return HideRun(encode(kept), pod.Labels[protocol.LabelRunID])
}

// tree returns an object of the Kubernetes API as maps and lists.
func tree(object any) map[string]any {
	node := map[string]any{}
	// Encoding cannot fail: the object came as JSON.
	if text, err := json.Marshal(object); err == nil {
		_ = json.Unmarshal(text, &node)
	}
	return node
}

func encode(node any) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(node) // maps, lists and texts
	return text.Bytes()
}

// valued are the lists whose items have a name and a value. The value may be secret.
var valued = []string{"env", "httpHeaders"}

// redact replaces the values in such lists, wherever they are.
func redact(node any) {
	switch node := node.(type) {
	case []any:
		for _, item := range node {
			redact(item)
		}
	case map[string]any:
		for key, child := range node {
			if list, ok := child.([]any); ok && slices.Contains(valued, key) {
				redactValues(list)
			}
			redact(child)
		}
	}
}

func redactValues(list []any) {
	for _, item := range list {
		variable, _ := item.(map[string]any)
		if value, ok := variable["value"].(string); ok {
			variable["value"] = fmt.Sprintf("(%d bytes)", len(value))
		}
	}
}

// EventsEvidence returns the events of a pod, one line for each, the oldest first: time, type, reason, count, source,
// message.
func EventsEvidence(events []corev1.Event) []byte {
	sorted := slices.Clone(events)
	slices.SortStableFunc(sorted, func(a, b corev1.Event) int { return eventTime(a).Compare(eventTime(b)) })
	var text bytes.Buffer
	for _, e := range sorted {
		count := ""
		if e.Count > 1 {
			count = fmt.Sprintf(" ×%d", e.Count)
		}
		fmt.Fprintf(&text, "%s %s %s%s (%s) %s\n", eventTime(e).UTC().Format(time.RFC3339), e.Type, e.Reason, count,
			cmp.Or(e.ReportingController, e.Source.Component, "-"), strings.ReplaceAll(strings.TrimSpace(e.Message), "\n", " "))
	}
	return text.Bytes()
}

// eventTime is when an event happened last. Which of its times is set depends on who wrote it.
func eventTime(e corev1.Event) time.Time {
	if e.Series != nil {
		return e.Series.LastObservedTime.Time
	}
	for _, t := range []time.Time{e.LastTimestamp.Time, e.EventTime.Time, e.FirstTimestamp.Time} {
		if !t.IsZero() {
			return t
		}
	}
	return e.CreationTimestamp.Time
}

// ReceivedReport is a report, cut to what can be stored.
type ReceivedReport struct {
	status.Report
	// Size is about the length of the whole report, in bytes.
	Size int
}

// Received cuts a report. The first errors stay; the last one that fits is cut.
func Received(report status.Report) ReceivedReport {
	kept := ReceivedReport{Report: status.Report{OK: report.OK, Errors: []string{}}}
	for _, text := range report.Errors {
		if left := MaxEvidence - kept.Size; left > 0 {
			kept.Errors = append(kept.Errors, strings.ToValidUTF8(text[:min(len(text), left)], ""))
		}
		kept.Size += len(text) + len(`"",`)
	}
	return kept
}

// Evidence returns the report as JSON of at most MaxEvidence bytes, and the approximate length of the whole report.
func (r ReceivedReport) Evidence() (content []byte, size int) {
	whole, err := json.Marshal(r.Report)
	if err != nil || len(whole) <= MaxEvidence { // not possible: it holds nothing but texts
		return whole, max(len(whole), r.Size)
	}
	const frame = len(`{"Errors":[],"OK":false}`)
	left := MaxEvidence - frame
	kept := status.Report{OK: r.OK, Errors: []string{}}
	for _, text := range r.Errors {
		quoted, _ := json.Marshal(text)
		if left -= len(quoted) + len(","); left < 0 {
			// A byte of the text takes six at most.
			if cut := (left + len(quoted)) / 6; cut > 1 {
				kept.Errors = append(kept.Errors, strings.ToValidUTF8(text[:min(len(text), cut-1)], ""))
			}
			break
		}
		kept.Errors = append(kept.Errors, text)
	}
	content, _ = json.Marshal(kept)
	return content, max(len(whole), r.Size)
}

// maxLateReport is how much of a late report is stored, in bytes. Several of them wait together in one history.
const maxLateReport = 8 << 10

// LateEvidence returns when a report was received that came too late to decide the outcome of its run, and the report as
// JSON. It is cut, and does not show the run UUID. The size is that of the whole report.
func LateEvidence(report ReceivedReport, at time.Time, uuid string) (content []byte, size int) {
	content, size = report.Evidence()
	content = HideRun(content, uuid) // first, because a cut may be within the UUID
	content = content[:min(len(content), maxLateReport)]
	return fmt.Appendf(nil, "%s %s", at.UTC().Format(time.RFC3339), strings.ToValidUTF8(string(content), "\uFFFD")), size
}

// ContainerLog names a container of a pod that may have a log.
type ContainerLog struct {
	Name string
	// Started is true for a container that runs or has run.
	Started bool
	// Ended is true for a container that has run and has ended, and EndedAt is when it ended.
	Ended   bool
	EndedAt time.Time
}

// ContainerLogs returns the containers of a pod, in the order in which they start.
func ContainerLogs(pod *corev1.Pod) []ContainerLog {
	known := map[string]ContainerLog{}
	for _, s := range slices.Concat(statuses(pod), pod.Status.EphemeralContainerStatuses) {
		log := ContainerLog{Started: s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil}
		if s.State.Terminated != nil {
			log.Ended, log.EndedAt = true, s.State.Terminated.FinishedAt.UTC()
		}
		known[s.Name] = log
	}
	var names []string
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		names = append(names, c.Name)
	}
	var logs []ContainerLog
	for _, name := range names {
		log := known[name]
		log.Name = name
		logs = append(logs, log)
	}
	return logs
}
