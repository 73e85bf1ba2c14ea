package check_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	kstatus "sigs.k8s.io/cli-utils/pkg/kstatus/status"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
)

// facts are those of the check ns/dns, of generation 3, five minutes after its creation. It is scheduled and has not run.
func facts(t testing.TB, changes ...func(*check.StatusFacts)) check.StatusFacts {
	t.Helper()
	c := checkSince(t, "2026-11-22T11:55:00Z", nil)
	c.Generation = 3
	f := check.StatusFacts{
		Check: c, Scheduling: check.Scheduling{Known: true, Scheduled: true, Next: now.Add(4 * time.Minute)}, Now: now,
	}
	for _, change := range changes {
		change(&f)
	}
	return f
}

// runOf adds the state of a run of ns/dns, of that generation.
func runOf(generation int64, conclusion check.Conclusion) func(*check.StatusFacts) {
	return func(f *check.StatusFacts) {
		ref := checkRef
		ref.Generation = generation
		f.State = check.NewState(f.State, ref, runUUID, "worker-0", conclusion)
		check.AddRecentRun(f.State, check.NewRecentRun(conclusion.Started, conclusion))
	}
}

func failing(outcome check.Outcome, errors ...string) check.Conclusion {
	conclusion := passed()
	conclusion.Outcome, conclusion.Errors = outcome, errors
	return conclusion
}

func suspend(f *check.StatusFacts) {
	f.Check.Spec.Suspend = true
	f.Check.Annotations = map[string]string{
		protocol.AnnotationPausedBy: "anna", protocol.AnnotationPauseReason: "the cart is rebuilt",
	}
}

func notScheduled(problem string) func(*check.StatusFacts) {
	return func(f *check.StatusFacts) { f.Scheduling = check.Scheduling{Known: true, Problem: problem} }
}

func timeout(text string) func(*check.StatusFacts) {
	return func(f *check.StatusFacts) { f.Check.Spec.Timeout = text }
}

// later makes the time an hour later.
func later(f *check.StatusFacts) { f.Now = now.Add(time.Hour) }

func TestConditions(t *testing.T) {
	const invalid = `spec.timeout: "abc" is not a duration above 0, such as "5m"`
	tests := []struct {
		name                    string
		changes                 []func(*check.StatusFacts)
		ready, healthy, stalled string // status, reason, generation, message
	}{
		{
			"scheduled, no run yet", nil,
			"True Scheduled 3 the check is scheduled", "Unknown NoRunYet 3 no run has ended yet", "",
		},
		{
			"succeeded",
			[]func(*check.StatusFacts){runOf(3, passed())},
			"True Scheduled 3 the check is scheduled", "True Succeeded 3 the last run succeeded", "",
		},
		{
			"succeeded before an edit",
			[]func(*check.StatusFacts){runOf(2, passed())},
			"True Scheduled 3 the check is scheduled", "True Succeeded 2 the last run succeeded", "",
		},
		{
			"failed",
			[]func(*check.StatusFacts){runOf(3, failing(check.Failed, "out of stock", "no route"))},
			"True Scheduled 3 the check is scheduled", "False Failed 3 out of stock; no route", "",
		},
		{
			"timed out",
			[]func(*check.StatusFacts){runOf(3, failing(check.TimedOut, "slow"))},
			"True Scheduled 3 the check is scheduled", "False TimedOut 3 slow", "",
		},
		{
			"infrastructure",
			[]func(*check.StatusFacts){runOf(3, failing(check.InfraFailed, "evicted"))},
			"True Scheduled 3 the check is scheduled", "False InfrastructureFailed 3 evicted", "",
		},
		{
			"failed without a text",
			[]func(*check.StatusFacts){runOf(3, failing(check.Failed))},
			"True Scheduled 3 the check is scheduled", "False Failed 3 no error was reported", "",
		},
		{
			"overdue",
			[]func(*check.StatusFacts){runOf(3, passed()), later},
			"True Scheduled 3 the check is scheduled",
			"Unknown Overdue 3 unknown: ns/dns: no run has ended since 2026-11-22T11:59:53Z; one was due by 2026-11-22T12:16:23Z", "",
		},
		{
			"suspended",
			[]func(*check.StatusFacts){runOf(3, failing(check.Failed, "x")), suspend},
			"True Suspended 3 the check is paused by anna: the cart is rebuilt",
			"Unknown Paused 3 the check is paused by anna: the cart is rebuilt", "",
		},
		{
			"not valid",
			[]func(*check.StatusFacts){timeout("abc")},
			"False Invalid 3 " + invalid, "Unknown NoRunYet 3 no run has ended yet", "True Invalid 3 " + invalid,
		},
		{
			"not scheduled",
			[]func(*check.StatusFacts){notScheduled("no connection")},
			"False Scheduling 3 no connection", "Unknown NoRunYet 3 no run has ended yet", "",
		},
		{
			"a name that is too long",
			[]func(*check.StatusFacts){func(f *check.StatusFacts) {
				f.Scheduling = check.Scheduling{Known: true, Problem: "too long", Final: true}
			}},
			"False Invalid 3 too long", "Unknown NoRunYet 3 no run has ended yet", "True Invalid 3 too long",
		},
		{
			"the state of another check of its name",
			[]func(*check.StatusFacts){runOf(3, passed()), func(f *check.StatusFacts) {
				f.State.OwnerReferences[0].UID = "uid-of-another"
			}},
			"True Scheduled 3 the check is scheduled", "Unknown NoRunYet 3 no run has ended yet", "",
		},
		{
			"the state of a job of its name",
			[]func(*check.StatusFacts){runOf(3, passed()), func(f *check.StatusFacts) {
				f.State.Spec.KHWorkload = ptr(khv1.KHJob)
			}},
			"True Scheduled 3 the check is scheduled", "Unknown NoRunYet 3 no run has ended yet", "",
		},
		{
			"a state that Kuberhealthy wrote",
			[]func(*check.StatusFacts){func(f *check.StatusFacts) { f.State = failed(ran(t, "", "2026-11-22T11:59:00Z")) }},
			"True Scheduled 3 the check is scheduled", "False Failed 0 it failed", "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, changed := check.NextStatus(facts(t, tt.changes...))
			if !changed || status.ObservedGeneration != 3 {
				t.Errorf("changed %t, generation %d", changed, status.ObservedGeneration)
			}
			got := map[string]string{}
			for _, c := range status.Conditions {
				got[c.Type] = describe(c)
				if at := facts(t, tt.changes...).Now; !c.LastTransitionTime.Time.Equal(at) {
					t.Errorf("%s changed at %s, want %s", c.Type, c.LastTransitionTime, at)
				}
			}
			want := map[string]string{khv1.ConditionReady: tt.ready, khv1.ConditionHealthy: tt.healthy}
			if tt.stalled != "" {
				want[khv1.ConditionStalled] = tt.stalled
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("conditions differ (-want +got):\n%s", diff)
			}
		})
	}
}

func describe(c metav1.Condition) string {
	return strings.Join([]string{string(c.Status), c.Reason, string(rune('0' + c.ObservedGeneration)), c.Message}, " ")
}

// While nobody has looked at the schedule, nothing is written: kstatus waits for the generation.
func TestNoStatusBeforeTheScheduleIsKnown(t *testing.T) {
	if _, changed := check.NextStatus(facts(t, func(f *check.StatusFacts) { f.Scheduling = check.Scheduling{} })); changed {
		t.Error("the status would be written")
	}
}

// after returns the facts once the status of other facts was written.
func after(before check.StatusFacts, changes ...func(*check.StatusFacts)) check.StatusFacts {
	status, _ := check.NextStatus(before)
	before.Check = before.Check.DeepCopy()
	before.Check.Status = status
	before.State = before.State.DeepCopy()
	for _, change := range changes {
		change(&before)
	}
	return before
}

// runLater makes the time that much later, with the outcome of a further run.
func runLater(d time.Duration, conclusion check.Conclusion) func(*check.StatusFacts) {
	return func(f *check.StatusFacts) {
		f.Now = f.Now.Add(d)
		conclusion.Started, conclusion.Concluded = conclusion.Started.Add(d), conclusion.Concluded.Add(d)
		runOf(3, conclusion)(f)
	}
}

func TestStatusIsWrittenOnChange(t *testing.T) {
	healthy, unhealthy := facts(t, runOf(3, passed())), facts(t, runOf(3, failing(check.Failed, "took 3.1 s")))
	tests := []struct {
		name   string
		before check.StatusFacts
		change func(*check.StatusFacts)
		want   bool
	}{
		{"nothing", healthy, func(*check.StatusFacts) {}, false},
		{"another success", healthy, runLater(time.Minute, passed()), false},
		{"a success within ten minutes", healthy, runLater(10*time.Minute-time.Second, passed()), false},
		{"a success ten minutes later", healthy, runLater(10*time.Minute, passed()), true},
		{"a failure", healthy, runLater(time.Minute, failing(check.Failed, "x")), true},
		{"another text of a failure", unhealthy, runLater(time.Minute, failing(check.Failed, "took 3.2 s")), false},
		{"another outcome of a failure", unhealthy, runLater(time.Minute, failing(check.TimedOut, "x")), true},
		{"recovery", unhealthy, runLater(time.Minute, passed()), true},
		{"overdue", healthy, later, true},
		{"an edit", healthy, func(f *check.StatusFacts) { f.Check.Generation++ }, true},
		{"an edit whose schedule is not known yet", healthy, func(f *check.StatusFacts) { f.Check.Generation++; f.Scheduling = check.Scheduling{} }, false},
		{"first run after an edit", facts(t, runOf(2, passed())), runLater(time.Minute, passed()), true},
		{"the schedule is not known any more", healthy, func(f *check.StatusFacts) { f.Scheduling = check.Scheduling{} }, false},
		{"another process has not seen the schedule", healthy, notScheduled("not yet"), false},
		{"the schedule begins", facts(t, notScheduled("not yet")), func(f *check.StatusFacts) { f.Scheduling = check.Scheduling{Known: true, Scheduled: true} }, true},
		{"the next tick is known", healthy, func(f *check.StatusFacts) {
			f.Check.Status.NextRunTime = nil
		}, true},
		{"scheduling fails in another way", facts(t, notScheduled("not yet")), notScheduled("still not"), false},
		{"another pause reason", facts(t, suspend), func(f *check.StatusFacts) {
			f.Check.Annotations = map[string]string{protocol.AnnotationPauseReason: "a holiday"}
		}, true},
		{"an annotation that is not valid", healthy, func(f *check.StatusFacts) {
			f.Check.Annotations = map[string]string{protocol.AnnotationReportPath: "/elsewhere"}
		}, true},
		{"somebody removed the conditions", healthy, func(f *check.StatusFacts) { f.Check.Status.Conditions = nil }, true},
		{"the state was restored without a generation", healthy, func(f *check.StatusFacts) { delete(f.State.Annotations, check.AnnotationGeneration) }, false},
		{"the state was deleted", healthy, func(f *check.StatusFacts) { f.State = nil }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			next := after(tt.before, tt.change)
			present := next.Check.DeepCopy()
			status, changed := check.NextStatus(next)
			if changed != tt.want {
				t.Errorf("changed is %t, want %t; from %+v to %+v", changed, tt.want, present.Status, status)
			}
			if diff := cmp.Diff(present, next.Check); diff != "" {
				t.Errorf("the check was changed:\n%s", diff)
			}
			if _, again := check.NextStatus(after(next)); tt.want && again {
				t.Error("the written status would be written again")
			}
		})
	}
}

func TestTransitionTimeIsThatOfTheStatus(t *testing.T) {
	written := after(facts(t, runOf(3, failing(check.Failed, "x"))), runLater(time.Minute, failing(check.TimedOut, "y")))
	status, _ := check.NextStatus(written)
	healthy := meta.FindStatusCondition(status.Conditions, khv1.ConditionHealthy)
	if healthy.Reason != "TimedOut" || !healthy.LastTransitionTime.Equal(&metav1.Time{Time: now}) {
		t.Errorf("got %+v, want the time of the first failure", healthy)
	}
}

func TestTimesOfAStatus(t *testing.T) {
	tests := []struct {
		name       string
		change     func(*check.StatusFacts)
		last, next string
	}{
		{"no run yet", func(*check.StatusFacts) {}, "", "12:04:00"},
		{"a run", runOf(3, passed()), "11:59:53", "12:04:00"},
		{"the known tick has passed", func(f *check.StatusFacts) { f.Scheduling.Next = now.Add(-25 * time.Minute) }, "", "12:05:00"},
		{"no known tick", func(f *check.StatusFacts) { f.Scheduling.Next = time.Time{} }, "", ""},
		{"no known tick, but the shown one is to come", func(f *check.StatusFacts) {
			f.Scheduling.Next = time.Time{}
			f.Check.Status.NextRunTime = &metav1.Time{Time: now.Add(time.Minute)}
		}, "", "12:01:00"},
		{"a cron expression", func(f *check.StatusFacts) {
			cronIn("Europe/Berlin", "30 14 * * *")(&f.Check.Spec)
			f.Scheduling.Next = time.Time{}
		}, "", "13:30:00"},
		{"suspended", suspend, "", ""},
		{"not valid", timeout("abc"), "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, _ := check.NextStatus(facts(t, tt.change))
			for _, time := range []struct {
				got  *metav1.Time
				want string
			}{{status.LastRunTime, tt.last}, {status.NextRunTime, tt.next}} {
				got := ""
				if time.got != nil {
					got = time.got.UTC().Format("15:04:05")
				}
				if got != time.want {
					t.Errorf("got %q, want %q", got, time.want)
				}
			}
		})
	}
}

func TestScheduleOfAStatus(t *testing.T) {
	status, _ := check.NextStatus(facts(t, func(f *check.StatusFacts) { cronIn("Europe/Berlin", "0 9 * * 1-5")(&f.Check.Spec) }))
	if status.Schedule != "0 9 * * 1-5 in Europe/Berlin" {
		t.Errorf("schedule %q", status.Schedule)
	}
}

// Errors, names and reasons come from anybody.
func TestHostileTextsInAStatus(t *testing.T) {
	hostile := strings.Repeat("\x1b[31mred\u202e "+runUUID+"\n", 200)
	status, _ := check.NextStatus(facts(t, runOf(3, failing(check.Failed, hostile, hostile))))
	paused, _ := check.NextStatus(facts(t, func(f *check.StatusFacts) {
		suspend(f)
		f.Check.Annotations[protocol.AnnotationPausedBy], f.Check.Annotations[protocol.AnnotationPauseReason] = hostile, hostile
	}))
	for _, c := range append(status.Conditions, paused.Conditions...) {
		if len(c.Message) > 1000 || strings.ContainsAny(c.Message, "\x1b\n\u202e") || strings.Contains(c.Message, runUUID[:13]) {
			t.Errorf("%s: message of %d bytes: %q", c.Type, len(c.Message), c.Message)
		}
		if len(validation.IsQualifiedName(c.Reason)) > 0 || len(c.Reason) == 0 {
			t.Errorf("reason %q", c.Reason)
		}
	}
}

func TestEventsOfAStatus(t *testing.T) {
	healthy, unhealthy := facts(t, runOf(3, passed())), facts(t, runOf(3, failing(check.Failed, "out of stock")))
	overdue := facts(t, runOf(3, passed()), later)
	tests := []struct {
		name   string
		before check.StatusFacts
		change func(*check.StatusFacts)
		want   []check.StatusEvent
	}{
		{"a new check", check.StatusFacts{Check: &khv1.KuberhealthyCheck{}}, func(f *check.StatusFacts) { *f = facts(t) }, nil},
		{
			"a new check that is not valid",
			check.StatusFacts{Check: &khv1.KuberhealthyCheck{}},
			func(f *check.StatusFacts) { *f = facts(t, notScheduled("x"), timeout("abc")) },
			[]check.StatusEvent{{Warning: true, Reason: "CheckInvalid", Action: "Schedule", Note: `spec.timeout: "abc" is not a duration above 0, such as "5m"`}},
		},
		{"first success", facts(t), runLater(time.Minute, passed()), nil},
		{"first failure", facts(t), runLater(time.Minute, failing(check.Failed, "out of stock")), []check.StatusEvent{{Warning: true, Reason: "CheckFailing", Action: "Run", Note: "out of stock"}}},
		{"starts to fail", healthy, runLater(time.Minute, failing(check.Failed, "out of stock")), []check.StatusEvent{{Warning: true, Reason: "CheckFailing", Action: "Run", Note: "out of stock"}}},
		{"fails in another way", unhealthy, runLater(time.Minute, failing(check.TimedOut, "slow")), nil},
		{"recovers", unhealthy, runLater(time.Minute, passed()), []check.StatusEvent{{Reason: "CheckRecovered", Action: "Run", Note: "the last run succeeded; before that: out of stock"}}},
		{"becomes unknown", healthy, later, []check.StatusEvent{{
			Warning: true, Reason: "CheckUnknown", Action: "Run",
			Note: "unknown: ns/dns: no run has ended since 2026-11-22T11:59:53Z; one was due by 2026-11-22T12:16:23Z",
		}}},
		{
			"is known again", overdue, runLater(time.Minute, check.Conclusion{Outcome: check.Succeeded, Started: now.Add(time.Hour), Concluded: now.Add(time.Hour)}),
			[]check.StatusEvent{{
				Reason: "CheckRecovered", Action: "Run",
				Note: "the last run succeeded; before that: unknown: ns/dns: no run has ended since 2026-11-22T11:59:53Z; one was due by 2026-11-22T12:16:23Z",
			}},
		},
		{"is paused", unhealthy, func(f *check.StatusFacts) { suspend(f); f.Check.Generation++ }, nil},
		{"succeeds after a pause", facts(t, suspend), func(f *check.StatusFacts) { f.Check.Spec.Suspend = false; runLater(time.Minute, passed())(f) }, nil},
		{
			"is not valid any more", healthy, func(f *check.StatusFacts) { timeout("abc")(f); f.Check.Generation++ },
			[]check.StatusEvent{{Warning: true, Reason: "CheckInvalid", Action: "Schedule", Note: `spec.timeout: "abc" is not a duration above 0, such as "5m"`}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			next := tt.before
			if tt.before.Check.Name != "" {
				next = after(tt.before, tt.change)
			} else {
				tt.change(&next)
			}
			status, _ := check.NextStatus(next)
			if diff := cmp.Diff(tt.want, check.StatusEvents(next.Check.Status, status)); diff != "" {
				t.Errorf("events differ (-want +got):\n%s", diff)
			}
		})
	}
}

// kstatus is how Flux, kpt and others decide whether a resource is ready.
func TestKstatusOfACheck(t *testing.T) {
	fresh := facts(t).Check
	fresh.Status.ObservedGeneration = -1 // the default of the definition
	edited := after(facts(t), func(f *check.StatusFacts) { f.Check.Generation++ }).Check
	for name, tt := range map[string]struct {
		check *khv1.KuberhealthyCheck
		want  kstatus.Status
	}{
		"before the first status": {fresh, kstatus.InProgressStatus},
		"edited":                  {edited, kstatus.InProgressStatus},
		"not scheduled":           {after(facts(t, notScheduled("x"))).Check, kstatus.InProgressStatus},
		"scheduled":               {after(facts(t)).Check, kstatus.CurrentStatus},
		"failing":                 {after(facts(t, runOf(3, failing(check.Failed, "x")))).Check, kstatus.CurrentStatus},
		"unknown":                 {after(facts(t, runOf(3, passed()), later)).Check, kstatus.CurrentStatus},
		"suspended":               {after(facts(t, suspend)).Check, kstatus.CurrentStatus},
		"not valid":               {after(facts(t, timeout("abc"))).Check, kstatus.FailedStatus},
	} {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(tt.check)
		if err != nil {
			t.Fatal(err)
		}
		u := &unstructured.Unstructured{Object: content}
		u.SetGroupVersionKind(khv1.GroupVersion.WithKind(khv1.CheckKind))
		got, err := kstatus.Compute(u)
		if err != nil || got.Status != tt.want {
			t.Errorf("%s: %v, error %v, want %s", name, got, err, tt.want)
		}
	}
}
