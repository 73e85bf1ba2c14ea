package check_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/test/golden"
)

// passed is the outcome of a run that reported OK after 3.2 seconds.
func passed() check.Conclusion {
	return check.Conclusion{
		Outcome: check.Succeeded, Errors: []string{}, Reported: true, Node: "node-1",
		Started: now.Add(-10 * time.Second), Concluded: now.Add(-6800 * time.Millisecond),
	}
}

func timedOut() check.Conclusion {
	conclusion := check.NoReport(check.Observation{}).Conclude(checkRef)
	conclusion.Started, conclusion.Concluded, conclusion.Node = now.Add(-time.Minute), now, "node-2"
	return conclusion
}

func TestNewState(t *testing.T) {
	present := &khv1.KuberhealthyState{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "dns", UID: "uid-of-state", ResourceVersion: "41",
			Labels:          map[string]string{"team": "net"},
			Annotations:     map[string]string{"note": "kept", check.AnnotationRunStarted: "2026-11-22T11:00:00Z"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "KuberhealthyCheck", Name: "dns", UID: "of an earlier check"}},
		},
		Spec: khv1.WorkloadDetails{
			OK: true, Errors: []string{"old"}, RunDuration: "9s", Namespace: "old", Node: "old",
			AuthoritativePod: "old", CurrentUUID: "old", LastRun: &metav1.Time{Time: now.Add(-time.Hour)},
		},
	}
	typeMeta := metav1.TypeMeta{APIVersion: "comcast.github.io/v1", Kind: "KuberhealthyState"}
	tests := []struct {
		name       string
		present    *khv1.KuberhealthyState
		ref        check.Ref
		conclusion check.Conclusion
		want       *khv1.KuberhealthyState
	}{
		{"none before, reported", nil, checkRef, passed(), &khv1.KuberhealthyState{
			TypeMeta: typeMeta,
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "ns", Name: "dns", OwnerReferences: check.OwnersOf(checkRef),
				Annotations: map[string]string{check.AnnotationRunStarted: "2026-11-22T11:59:50Z", check.AnnotationGeneration: "3"},
			},
			Spec: khv1.WorkloadDetails{
				OK: true, Errors: []string{}, RunDuration: "3.2s", Namespace: "ns", Node: "node-1",
				LastRun: &metav1.Time{Time: now.Add(-7 * time.Second)}, AuthoritativePod: "worker-0", CurrentUUID: runUUID, KHWorkload: ptr(khv1.KHCheck),
			},
		}},
		{"of a job", nil, jobRef, passed(), &khv1.KuberhealthyState{
			TypeMeta: typeMeta,
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "ns", Name: "smoke", OwnerReferences: check.OwnersOf(jobRef),
				Annotations: map[string]string{check.AnnotationRunStarted: "2026-11-22T11:59:50Z", check.AnnotationGeneration: "1"},
			},
			Spec: khv1.WorkloadDetails{
				OK: true, Errors: []string{}, RunDuration: "3.2s", Namespace: "ns", Node: "node-1",
				LastRun: &metav1.Time{Time: now.Add(-7 * time.Second)}, AuthoritativePod: "worker-0", CurrentUUID: runUUID, KHWorkload: ptr(khv1.KHJob),
			},
		}},
		{"one before, no outcome", present, checkRef, timedOut(), &khv1.KuberhealthyState{
			TypeMeta: typeMeta,
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "ns", Name: "dns", UID: "uid-of-state", ResourceVersion: "41",
				Labels:          map[string]string{"team": "net"},
				Annotations:     map[string]string{"note": "kept", check.AnnotationRunStarted: "2026-11-22T11:59:00Z", check.AnnotationGeneration: "3"},
				OwnerReferences: check.OwnersOf(checkRef),
			},
			Spec: khv1.WorkloadDetails{
				OK: false, Errors: []string{"Check execution error: ns/dns: timed out waiting for checker pod to report in"},
				RunDuration: "", Namespace: "ns", Node: "node-2",
				LastRun: &metav1.Time{Time: now}, AuthoritativePod: "worker-0", KHWorkload: ptr(khv1.KHCheck),
			},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.present.DeepCopy()
			got := check.NewState(tt.present, tt.ref, runUUID, "worker-0", tt.conclusion)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("state differs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, tt.present); diff != "" {
				t.Errorf("the present state was changed (-want +got):\n%s", diff)
			}
		})
	}
}

// A run that ended without a report still accepts a late one, with its UUID as the credential. The state is public, so it
// must not show this UUID, nor the UUID of the run before in its place.
func TestNewStateShowsNoUUIDThatIsStillGood(t *testing.T) {
	present := check.NewState(nil, checkRef, runUUID, "w", passed())
	const silent = "b1946ac9-2f4e-4f7c-8d0e-0d9c5c7f1a22"
	text, err := json.Marshal(check.NewState(present, checkRef, silent, "w", timedOut()))
	if err != nil || strings.Contains(string(text), silent) || strings.Contains(string(text), runUUID) {
		t.Errorf("got %s %v, want no UUID", text, err)
	}
	amended := check.NoExit(check.Observation{}).Conclude(checkRef)
	if got := check.NewState(present, checkRef, runUUID, "w", amended).Spec.CurrentUUID; got != "" {
		t.Errorf("after an amendment the UUID is %q", got)
	}
}

func TestNewStateNeverWritesNullErrors(t *testing.T) {
	state := check.NewState(nil, checkRef, runUUID, "w", check.Conclusion{Outcome: check.Succeeded, Reported: true})
	text, err := json.Marshal(state.Spec)
	if err != nil || !strings.Contains(string(text), `"Errors":[]`) {
		t.Errorf("got %s %v, want an empty list: the API server refuses null", text, err)
	}
}

func TestNewStateSharesNothingWithTheOutcome(t *testing.T) {
	conclusion := timedOut()
	state := check.NewState(nil, checkRef, runUUID, "w", conclusion)
	state.Spec.Errors[0] = "changed"
	if conclusion.Errors[0] == "changed" {
		t.Error("the outcome was changed through the state")
	}
}

func TestStateName(t *testing.T) {
	for name, want := range map[string]string{"dns": "dns", "DNS Status Check": "dns-status-check"} {
		if got := check.StateName(name); got != want {
			t.Errorf("state of %q is %q, want %q", name, got, want)
		}
	}
}

func TestSupersedes(t *testing.T) {
	tests := []struct {
		name, shown string
		started     time.Time
		want        bool
	}{
		{"a later run", "2026-11-22T11:59:59.999999999Z", now, true},
		{"the same run, amended", "2026-11-22T12:00:00Z", now, true},
		{"an earlier run", "2026-11-22T12:00:00.000000001Z", now, false},
		{"another zone", "2026-11-22T13:30:00+02:00", now, true},
		{"written by Kuberhealthy", "", now, true},
		{"not a time", "yesterday", now, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			state := &khv1.KuberhealthyState{}
			if tt.shown != "" {
				state.Annotations = map[string]string{check.AnnotationRunStarted: tt.shown}
			}
			if got := check.Supersedes(state, check.Conclusion{Started: tt.started}); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

// NewState must preserve the order of two runs, to the nanosecond.
func TestSupersedesReadsWhatNewStateWrites(t *testing.T) {
	later := passed()
	later.Started = now.Add(time.Nanosecond)
	earlier := passed()
	earlier.Started = now
	if state := check.NewState(nil, checkRef, runUUID, "w", later); check.Supersedes(state, earlier) || !check.Supersedes(state, later) {
		t.Error("the state of the later run gives way to the earlier, or does not take its own amendment")
	}
	if state := check.NewState(nil, checkRef, runUUID, "w", earlier); !check.Supersedes(state, later) {
		t.Error("the state of the earlier run does not give way to the later")
	}
}

func stateOf(namespace, name string, change func(*khv1.WorkloadDetails)) *khv1.KuberhealthyState {
	state := &khv1.KuberhealthyState{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: khv1.WorkloadDetails{
			OK: true, Errors: []string{}, RunDuration: "3.2s", Namespace: namespace, Node: "node-1",
			LastRun: &metav1.Time{Time: now}, AuthoritativePod: "worker-0", CurrentUUID: runUUID,
			KHWorkload: ptr(khv1.KHCheck),
		},
	}
	if change != nil {
		change(&state.Spec)
	}
	return state
}

func fails(errors ...string) func(*khv1.WorkloadDetails) {
	return func(d *khv1.WorkloadDetails) { d.OK, d.Errors = false, errors }
}

// cluster has, out of order, three checks that have run, one that has not, and a job.
func cluster() []*khv1.KuberhealthyState {
	return []*khv1.KuberhealthyState{
		stateOf("prod", "web", fails("web is <down> & out", "", "\"quoted\"")),
		stateOf("ns", "smoke", func(d *khv1.WorkloadDetails) { d.KHWorkload = ptr(khv1.KHJob) }),
		stateOf("ns", "new", func(d *khv1.WorkloadDetails) { d.AuthoritativePod, d.OK, d.Errors = "", false, []string{"hidden"} }),
		stateOf("ns", "dns", func(d *khv1.WorkloadDetails) { d.LastRun = nil }),
		stateOf("prod", "api", fails("api is down")),
	}
}

func isJob(state *khv1.KuberhealthyState) bool { return *state.Spec.KHWorkload == khv1.KHJob }

func TestSummaryInKuberhealthysShape(t *testing.T) {
	sum := check.Summarize(cluster(), isJob, nil)
	sum.CurrentMaster = "khronicle-0"
	text, err := json.MarshalIndent(sum, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, "summary.json", text)
}

func TestSummaryOfNothingIsEmpty(t *testing.T) {
	text, err := json.Marshal(check.Summarize(nil, isJob, nil))
	want := `{"OK":true,"Errors":[],"CheckDetails":{},"JobDetails":{},"CurrentMaster":"","Metadata":{}}`
	if err != nil || string(text) != want {
		t.Errorf("got %s %v, want %s", text, err, want)
	}
}

func TestSummarize(t *testing.T) {
	tests := []struct {
		name         string
		states       []*khv1.KuberhealthyState
		namespaces   []string
		ok           bool
		errors       []string
		checks, jobs []string
	}{
		{"all", cluster(), nil, false, []string{"api is down", "web is <down> & out", `"quoted"`}, []string{"ns/dns", "prod/api", "prod/web"}, []string{"ns/smoke"}},
		{"empty filter is no filter", cluster(), []string{}, false, []string{"api is down", "web is <down> & out", `"quoted"`}, []string{"ns/dns", "prod/api", "prod/web"}, []string{"ns/smoke"}},
		{"one namespace", cluster(), []string{"ns"}, true, []string{}, []string{"ns/dns"}, []string{"ns/smoke"}},
		{"two namespaces", cluster(), []string{"prod", "ns"}, false, []string{"api is down", "web is <down> & out", `"quoted"`}, []string{"ns/dns", "prod/api", "prod/web"}, []string{"ns/smoke"}},
		{"a namespace is not a prefix", cluster(), []string{"pro"}, true, []string{}, nil, nil},
		{"errors decide, not OK", []*khv1.KuberhealthyState{stateOf("a", "b", func(d *khv1.WorkloadDetails) { d.Errors = []string{"x"} })}, nil, false, []string{"x"}, []string{"a/b"}, nil},
		{"not OK without errors", []*khv1.KuberhealthyState{stateOf("a", "b", fails())}, nil, true, []string{}, []string{"a/b"}, nil},
		{"blank errors", []*khv1.KuberhealthyState{stateOf("a", "b", fails("", ""))}, nil, true, []string{}, []string{"a/b"}, nil},
		{"one name in two namespaces", []*khv1.KuberhealthyState{stateOf("b", "dns", nil), stateOf("a", "dns", nil)}, nil, true, []string{}, []string{"a/dns", "b/dns"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sum := check.Summarize(tt.states, isJob, tt.namespaces)
			if sum.OK != tt.ok {
				t.Errorf("OK is %t, want %t", sum.OK, tt.ok)
			}
			if diff := cmp.Diff(tt.errors, sum.Errors); diff != "" {
				t.Errorf("errors differ (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.checks, keys(sum.CheckDetails)); diff != "" {
				t.Errorf("checks differ (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.jobs, keys(sum.JobDetails)); diff != "" {
				t.Errorf("jobs differ (-want +got):\n%s", diff)
			}
		})
	}
}

// unknownSince is what is expected of a check or job whose last outcome came at noon.
func unknownSince(kind khv1.KHWorkload, namespace, name string) check.Awaited {
	return check.Awaited{Ref: check.Ref{Kind: kind, Namespace: namespace, Name: name}, Since: now, By: now.Add(time.Hour)}
}

func TestSummarizeWhatIsUnknown(t *testing.T) {
	text := func(name string) string {
		return "unknown: " + name + ": no run has ended since 2026-11-22T12:00:00Z; one was due by 2026-11-22T13:00:00Z"
	}
	unknown := []check.Awaited{
		unknownSince(khv1.KHCheck, "prod", "web"), unknownSince(khv1.KHCheck, "ns", "dns"), unknownSince(khv1.KHCheck, "ns", "new"),
		unknownSince(khv1.KHJob, "ns", "smoke"), unknownSince(khv1.KHCheck, "ns", "smoke"), unknownSince(khv1.KHCheck, "a", "stateless"),
	}
	states := cluster()
	sum := check.Summarize(states, isJob, nil, unknown...)
	if diff := cmp.Diff(cluster(), states); diff != "" {
		t.Errorf("the states were changed (-want +got):\n%s", diff)
	}
	wantErrors := []string{
		text("a/stateless"), text("ns/dns"), text("ns/new"), text("ns/smoke"), text("ns/smoke"),
		"api is down", text("prod/web"), "web is <down> & out", `"quoted"`,
	}
	if diff := cmp.Diff(wantErrors, sum.Errors); diff != "" || sum.OK {
		t.Errorf("OK is %t; errors differ (-want +got):\n%s", sum.OK, diff)
	}
	bare := func(namespace, name string) khv1.WorkloadDetails {
		return khv1.WorkloadDetails{Errors: []string{text(namespace + "/" + name)}, Namespace: namespace}
	}
	dns, web := sum.CheckDetails["ns/dns"], sum.CheckDetails["prod/web"]
	want := map[string]khv1.WorkloadDetails{
		"a/stateless": bare("a", "stateless"), "ns/new": bare("ns", "new"), "ns/smoke": bare("ns", "smoke"),
		"ns/dns":   {Errors: []string{text("ns/dns")}, RunDuration: "3.2s", Namespace: "ns", Node: "node-1", AuthoritativePod: "worker-0", CurrentUUID: runUUID},
		"prod/api": sum.CheckDetails["prod/api"], "prod/web": web,
	}
	if diff := cmp.Diff(want, sum.CheckDetails); diff != "" {
		t.Errorf("checks differ (-want +got):\n%s", diff)
	}
	if job := sum.JobDetails["ns/smoke"]; job.OK || dns.OK || web.OK || !job.LastRun.Time.Equal(now) || !cmp.Equal(job.Errors, []string{text("ns/smoke")}) {
		t.Errorf("not shown as unknown, after their last run: %+v, %+v, %+v", job, dns, web)
	}
}

func TestSummarizeWhatIsUnknownInSomeNamespaces(t *testing.T) {
	unknown := []check.Awaited{unknownSince(khv1.KHCheck, "prod", "stateless"), unknownSince(khv1.KHJob, "ns", "other")}
	sum := check.Summarize(nil, isJob, []string{"ns"}, unknown...)
	if diff := cmp.Diff([]string{"ns/other"}, keys(sum.JobDetails)); diff != "" || len(sum.CheckDetails) > 0 || len(sum.Errors) != 1 {
		t.Errorf("checks %v, errors %q, jobs differ (-want +got):\n%s", keys(sum.CheckDetails), sum.Errors, diff)
	}
}

func TestSummarizeLeavesTheCachedStatesAlone(t *testing.T) {
	states := cluster()
	sum := check.Summarize(states, isJob, nil)
	if diff := cmp.Diff(cluster(), states); diff != "" {
		t.Errorf("the states were changed (-want +got):\n%s", diff)
	}
	sum.Errors[0] = "changed"
	if diff := cmp.Diff(cluster(), states); diff != "" {
		t.Errorf("the summary shares its errors with the states (-want +got):\n%s", diff)
	}
}

func TestErrorLabel(t *testing.T) {
	tests := []struct {
		name   string
		errors []string
		limit  int
		want   string
	}{
		{"none", nil, 0, ""},
		{"none, with a limit", []string{}, 4, ""},
		{"one", []string{"12345678910"}, 0, "12345678910"},
		{"several", []string{"a", "", "b"}, 0, "a||b"},
		{"quotes", []string{`say "no"`}, 0, "say 'no'"},
		{"what the format of the metrics escapes stays", []string{"a\nb\\"}, 0, "a\nb\\"},
		{"cut", []string{"12345678910"}, 4, "1234"},
		{"shorter than the limit", []string{"123"}, 10, "123"},
		{"as long as the limit", []string{"1234"}, 4, "1234"},
		{"the limit is of all errors together", []string{"12", "34"}, 4, "12|3"},
		{"not UTF-8", []string{"a\xff", "b\xc3"}, 0, "a\uFFFD|b\uFFFD"},
		{"not UTF-8, cut within what stands for it", []string{"a\xff"}, 3, "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := check.ErrorLabel(tt.errors, tt.limit); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCut(t *testing.T) {
	tests := []struct {
		text  string
		limit int
		want  string
	}{
		{"", 1, ""},
		{"abc", 0, "abc"},
		{"abc", -1, "abc"},
		{"abc", 2, "ab"},
		{"abc", 3, "abc"},
		{"abc", 4, "abc"},
		{"aé", 2, "a"},
		{"aé", 3, "aé"},
		{"é", 1, ""},
		{"日本", 3, "日"},
		{"日本", 5, "日"},
		{"🙂", 3, ""},
		{"\x80\x80\x80", 2, ""},
	}
	for _, tt := range tests {
		if got := check.Cut(tt.text, tt.limit); got != tt.want {
			t.Errorf("%q cut to %d is %q, want %q", tt.text, tt.limit, got, tt.want)
		}
	}
}

func recentRun(n int) check.RecentRun {
	at := now.Add(time.Duration(n) * time.Minute)
	return check.RecentRun{Tick: at, Started: at.Add(40 * time.Millisecond), Outcome: check.Succeeded, Seconds: 3.2}
}

func recentRuns(from, to int) (runs []check.RecentRun) {
	for n := from; n <= to; n++ {
		runs = append(runs, recentRun(n))
	}
	return runs
}

func TestAddRecentRun(t *testing.T) {
	encoded := func(runs []check.RecentRun) string {
		text, err := json.Marshal(runs)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	amended := recentRun(3)
	amended.Outcome, amended.Seconds = check.TimedOut, 60
	tests := []struct {
		name, present string
		run           check.RecentRun
		want          []check.RecentRun
	}{
		{"the first", "", recentRun(1), recentRuns(1, 1)},
		{"a further one, behind the others", encoded(recentRuns(1, 3)), recentRun(4), recentRuns(1, 4)},
		{"the tenth", encoded(recentRuns(1, 9)), recentRun(10), recentRuns(1, 10)},
		{"the eleventh takes the place of the first", encoded(recentRuns(1, 10)), recentRun(11), recentRuns(2, 11)},
		{"the same run again", encoded(recentRuns(1, 3)), recentRun(3), recentRuns(1, 3)},
		{"the same run, amended", encoded(recentRuns(1, 3)), amended, append(recentRuns(1, 2), amended)},
		{"the same run, amended behind a later one", encoded(recentRuns(1, 4)), amended, append(recentRuns(1, 2), amended, recentRun(4))},
		{"too many", encoded(recentRuns(1, 50)), recentRun(51), recentRuns(42, 51)},
		{"null", "null", recentRun(1), recentRuns(1, 1)},
		{"cut short", encoded(recentRuns(1, 3))[:50], recentRun(4), recentRuns(4, 4)},
		{"not a list", `{"tick":1}`, recentRun(1), recentRuns(1, 1)},
		{"not times", `[{"started":"yesterday"}]`, recentRun(1), recentRuns(1, 1)},
		{"words", "the last ten runs", recentRun(1), recentRuns(1, 1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			state := &khv1.KuberhealthyState{}
			if tt.present != "" {
				state.Annotations = map[string]string{"note": "kept", check.AnnotationRecentRuns: tt.present}
			}
			check.AddRecentRun(state, tt.run)
			if diff := cmp.Diff(tt.want, check.RecentRuns(state)); diff != "" {
				t.Errorf("runs (-want +got):\n%s", diff)
			}
			if tt.present != "" && state.Annotations["note"] != "kept" {
				t.Error("another annotation went")
			}
		})
	}
}

// The size that docs/how-it-survives.md states is right for the longest outcome.
func TestRecentRunsStayWithinTheirDocumentedSize(t *testing.T) {
	state := &khv1.KuberhealthyState{}
	for n := range 20 {
		run := recentRun(n)
		run.Tick, run.Outcome, run.Seconds = run.Tick.Add(999*time.Millisecond), check.InfraFailed, 3599.999
		check.AddRecentRun(state, run)
	}
	if n := len(state.Annotations[check.AnnotationRecentRuns]); n > 1250 {
		t.Errorf("%d bytes, want at most 1250", n)
	}
}

func TestNewRecentRun(t *testing.T) {
	conclusion := passed()
	conclusion.Started, conclusion.Concluded = now.Add(1234567), now.Add(1234567+3200*time.Millisecond)
	at := now.In(time.FixedZone("", 3600))
	want := check.RecentRun{Tick: now, Started: now.Add(time.Millisecond), Outcome: check.Succeeded, Seconds: 3.2}
	if diff := cmp.Diff(want, check.NewRecentRun(at, conclusion)); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
	if got := check.NewRecentRun(time.Time{}, conclusion); !got.Tick.IsZero() {
		t.Errorf("a run whose tick is not known was due %s", got.Tick)
	}
}

func TestStartDelay(t *testing.T) {
	tests := []struct {
		name          string
		tick, started time.Time
		delay         time.Duration
		ok            bool
	}{
		{"late", now, now.Add(3 * time.Second), 3 * time.Second, true},
		{"on time", now, now, 0, true},
		{"clocks that differ", now, now.Add(-time.Second), 0, true},
		{"tick not known", time.Time{}, now, 0, false},
		{"start not known", now, time.Time{}, 0, false},
	}
	for _, tt := range tests {
		delay, ok := check.RecentRun{Tick: tt.tick, Started: tt.started}.StartDelay()
		if ok != tt.ok || ok && delay != tt.delay {
			t.Errorf("%s: %s, %t; want %s, %t", tt.name, delay, ok, tt.delay, tt.ok)
		}
	}
}
