package check

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// AnnotationRunStarted is on a state and holds when the shown run began (RFC 3339, nanoseconds). It prevents an older run
// that is recorded late from replacing a newer one.
const AnnotationRunStarted = "khronicle.github.io/run-started"

// AnnotationGeneration is on a state and holds the generation of the check or job whose run it shows. The pod of the run was
// made from that generation, or from a later one.
const AnnotationGeneration = "khronicle.github.io/generation"

// StateName returns the name of the state of a check or job. Kuberhealthy writes names in lower case without blanks.
func StateName(name string) string {
	return strings.ReplaceAll(strings.ToLower(name), " ", "-")
}

// Supersedes is true when a conclusion may replace what the state shows, because the state shows no later run. For a state
// that Kuberhealthy wrote, the time of its last run counts as the start.
func Supersedes(state *khv1.KuberhealthyState, conclusion Conclusion) bool {
	shown, err := time.Parse(time.RFC3339Nano, state.Annotations[AnnotationRunStarted])
	if err != nil && state.Spec.LastRun != nil {
		shown, err = state.Spec.LastRun.Time, nil
	}
	return err != nil || !shown.After(conclusion.Started)
}

// NewState returns the state that shows the conclusion of a run. It is based on the present state (nil if there is none),
// which it does not change. The time of its last run is when the outcome was known, however late it is written.
func NewState(present *khv1.KuberhealthyState, ref Ref, uuid, recorder string, conclusion Conclusion) *khv1.KuberhealthyState {
	state := &khv1.KuberhealthyState{}
	if present != nil {
		state = present.DeepCopy()
	}
	state.TypeMeta = metav1.TypeMeta{APIVersion: khv1.GroupVersion.String(), Kind: khv1.StateKind}
	state.Namespace, state.Name = ref.Namespace, StateName(ref.Name)
	if ref.UID != "" {
		state.OwnerReferences = OwnersOf(ref)
	}
	metav1.SetMetaDataAnnotation(&state.ObjectMeta, AnnotationRunStarted, conclusion.Started.UTC().Format(time.RFC3339Nano))
	delete(state.Annotations, AnnotationGeneration)
	if ref.Generation > 0 {
		state.Annotations[AnnotationGeneration] = strconv.FormatInt(ref.Generation, 10)
	}
	lastRun := metav1.NewTime(conclusion.Concluded.UTC().Truncate(time.Second))
	state.Spec = khv1.WorkloadDetails{
		OK:               conclusion.OK(),
		Errors:           append([]string{}, conclusion.Errors...),
		Namespace:        ref.Namespace,
		Node:             conclusion.Node,
		LastRun:          &lastRun,
		AuthoritativePod: recorder,
		KHWorkload:       &ref.Kind,
	}
	if conclusion.Reported {
		// Without a report, the UUID could still be used to send one.
		state.Spec.CurrentUUID = uuid
		state.Spec.RunDuration = conclusion.Concluded.Sub(conclusion.Started).String()
	}
	return state
}

// ShowsRun is true for a state that shows an outcome. A state without a recorder was never written, or somebody wiped it.
func ShowsRun(state *khv1.KuberhealthyState) bool { return state.Spec.AuthoritativePod != "" }

// ShowsRunOf is true for a state that shows an outcome of this check or job, and not of another one of its name.
func ShowsRunOf(state *khv1.KuberhealthyState, ref Ref) bool {
	owner := metav1.GetControllerOfNoCopy(state)
	return ShowsRun(state) && owner != nil && owner.UID == ref.UID
}

// GenerationOf returns the generation of the check or job whose run a state shows. It is 0 where that is not known.
func GenerationOf(state *khv1.KuberhealthyState) int64 {
	generation, err := strconv.ParseInt(state.Annotations[AnnotationGeneration], 10, 64)
	if err != nil {
		return 0
	}
	return generation
}

// MayShowRunOf is true for a state that shows an outcome, unless that is one of another check or job than the one with this
// UID. A state without an owner may be anyone's: Kuberhealthy wrote it.
func MayShowRunOf(state *khv1.KuberhealthyState, uid types.UID) bool {
	owner := metav1.GetControllerOfNoCopy(state)
	return ShowsRun(state) && (owner == nil || owner.UID == uid)
}

// AnnotationRecentRuns is on a state and holds its last runs in JSON, as RecentRuns returns them.
const AnnotationRecentRuns = "khronicle.github.io/recent-runs"

// MaxRecentRuns is how many runs a state lists.
const MaxRecentRuns = 10

// RecentRun is one of the last runs in a state. Times and durations are rounded to the millisecond.
type RecentRun struct {
	// Tick is the tick of the run. It is zero where the tick is not known.
	Tick time.Time `json:"tick,omitzero"`
	// Started is when the run began. No other run of its check began then.
	Started time.Time `json:"started"`
	Outcome Outcome   `json:"outcome"`
	// Seconds is how long it took from the start to the outcome.
	Seconds float64 `json:"seconds"`
}

// StartDelay is how long after its tick the run began; ok is false where that is not known.
func (r RecentRun) StartDelay() (delay time.Duration, ok bool) {
	return max(r.Started.Sub(r.Tick), 0), !r.Tick.IsZero() && !r.Started.IsZero()
}

// NewRecentRun returns the entry of a run with this tick and conclusion.
func NewRecentRun(tick time.Time, conclusion Conclusion) RecentRun {
	if !tick.IsZero() {
		tick = tick.UTC().Truncate(time.Millisecond)
	}
	return RecentRun{
		Tick: tick, Started: conclusion.Started.UTC().Truncate(time.Millisecond), Outcome: conclusion.Outcome,
		Seconds: conclusion.Concluded.Sub(conclusion.Started).Round(time.Millisecond).Seconds(),
	}
}

// RecentRuns returns the last runs that a state lists, the newest last. A list that cannot be read is empty.
func RecentRuns(state *khv1.KuberhealthyState) []RecentRun {
	var runs []RecentRun
	if json.Unmarshal([]byte(state.Annotations[AnnotationRecentRuns]), &runs) != nil {
		return nil
	}
	return runs
}

// AddRecentRun adds a run to the list of a state, which has at most MaxRecentRuns. A run that is in the list already is
// replaced in its place: its outcome was amended.
func AddRecentRun(state *khv1.KuberhealthyState, run RecentRun) {
	runs := RecentRuns(state)
	at := slices.IndexFunc(runs, func(known RecentRun) bool { return known.Started.Equal(run.Started) })
	if at < 0 {
		at, runs = len(runs), append(runs, run)
	}
	runs[at] = run
	text, _ := json.Marshal(runs[max(len(runs)-MaxRecentRuns, 0):]) // fails only with times after the year 9999
	metav1.SetMetaDataAnnotation(&state.ObjectMeta, AnnotationRecentRuns, string(text))
}

// Summary is the state of the cluster, in the shape and key order of Kuberhealthy's status page.
type Summary struct {
	OK            bool
	Errors        []string
	CheckDetails  map[string]khv1.WorkloadDetails
	JobDetails    map[string]khv1.WorkloadDetails
	CurrentMaster string
	Metadata      map[string]string
}

// Summarize returns the state of the cluster from the states of its checks and jobs. isJob is true for the state of a job.
// Summarize leaves out states without a recorder (no run has finished), and states of other namespaces unless the list is
// empty. An unknown check is not OK. The text about that comes before its last errors, and the check is shown even without
// a state.
func Summarize(states []*khv1.KuberhealthyState, isJob func(*khv1.KuberhealthyState) bool, namespaces []string, unknown ...Awaited) Summary {
	sum := Summary{Metadata: map[string]string{}, CheckDetails: map[string]khv1.WorkloadDetails{}, JobDetails: map[string]khv1.WorkloadDetails{}}
	hidden := func(namespace string) bool { return len(namespaces) > 0 && !slices.Contains(namespaces, namespace) }
	for _, state := range states {
		if !ShowsRun(state) || hidden(state.Namespace) {
			continue
		}
		details := sum.CheckDetails
		if isJob(state) {
			details = sum.JobDetails
		}
		shown := state.Spec
		shown.KHWorkload = nil // on Kuberhealthy's page, the map shows the kind
		details[state.Namespace+"/"+state.Name] = shown
	}
	for _, awaited := range unknown {
		if !hidden(awaited.Namespace) {
			sum.showUnknown(awaited)
		}
	}
	sum.Errors = sum.allErrors()
	sum.OK = len(sum.Errors) == 0
	return sum
}

func (s Summary) showUnknown(awaited Awaited) {
	details := s.CheckDetails
	if awaited.Kind == khv1.KHJob {
		details = s.JobDetails
	}
	name := awaited.Namespace + "/" + StateName(awaited.Name)
	shown := details[name]
	shown.OK, shown.Namespace = false, awaited.Namespace
	shown.Errors = append([]string{awaited.Text()}, shown.Errors...)
	details[name] = shown
}

// allErrors returns the error texts of all that is shown, in the order of their names.
func (s Summary) allErrors() []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(s.CheckDetails)), maps.Keys(s.JobDetails))
	slices.Sort(names)
	texts := []string{}
	for _, name := range slices.Compact(names) {
		for _, text := range slices.Concat(s.CheckDetails[name].Errors, s.JobDetails[name].Errors) {
			if text != "" {
				texts = append(texts, text)
			}
		}
	}
	return texts
}

// ErrorLabel returns errors as the value of one metric label, in Kuberhealthy's form. They are joined by "|" and have ' in
// place of ". The value is cut to limit bytes, unless that is 0 or less.
func ErrorLabel(errors []string, limit int) string {
	text := strings.ToValidUTF8(strings.Join(errors, "|"), "\uFFFD")
	return Cut(strings.ReplaceAll(text, `"`, "'"), limit)
}

// Cut returns the first limit bytes of text, or fewer where that would split a character. A limit of 0 or less is none.
func Cut(text string, limit int) string {
	if limit <= 0 || len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
