package starter

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

var anchor = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// aCheck returns revision 3 of a valid check, changed.
func aCheck(change func(*khv1.KuberhealthyCheck)) *khv1.KuberhealthyCheck {
	c := &khv1.KuberhealthyCheck{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "dns", UID: "uid-1", Generation: 3},
		Spec: khv1.CheckConfig{
			RunInterval: "1m", Timeout: "30s",
			PodSpec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "dns:1"}}},
		},
	}
	if change != nil {
		change(c)
	}
	return c
}

func TestPlan(t *testing.T) {
	var (
		third     = workflows.Revision{UID: "uid-1", Generation: 3}
		fourth    = workflows.Revision{UID: "uid-1", Generation: 4}
		paused    = workflows.Grid{Paused: true}
		second    = workflows.Revision{UID: "uid-1", Generation: 2}
		namesake  = workflows.Revision{UID: "uid-0", Generation: 3}
		valid     = aCheck(nil)
		suspended = aCheck(func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = true })
		invalid   = aCheck(func(c *khv1.KuberhealthyCheck) { c.Spec.Timeout = "abc" })
		badSlot   = aCheck(func(c *khv1.KuberhealthyCheck) { c.Spec.RunInterval = "0s" })
		empty     = aCheck(func(c *khv1.KuberhealthyCheck) { c.Spec.PodSpec.Containers = nil })
		asleep    = aCheck(func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend, c.Spec.Timeout = true, "abc" })
		sleepless = aCheck(func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend, c.Spec.RunInterval = true, "often" })
		minutely  = workflows.Grid{Schedule: check.ScheduleSpec{RunInterval: "1m"}}
		run       = []string{"3c8f1f6e-52b7-4d0a-9a41-7be0d2f5c913"}
	)
	tests := []struct {
		name     string
		check    *khv1.KuberhealthyCheck
		schedule schedule
		want     action
	}{
		{"new check", valid, schedule{}, start},
		{"up to date", valid, schedule{running: true, revision: third}, nothing},
		{"up to date, a run in flight", valid, schedule{running: true, revision: third, inFlight: run}, nothing},
		{"edited", valid, schedule{running: true, revision: second}, start},
		{"edited, a run in flight", valid, schedule{running: true, revision: second, inFlight: run}, wait},
		{"deleted and made anew", valid, schedule{running: true, revision: namesake}, start},
		{"schedule is ahead of the cache", valid, schedule{running: true, revision: workflows.Revision{UID: "uid-1", Generation: 4}}, nothing},
		{"made anew, with a lower revision", valid, schedule{running: true, revision: workflows.Revision{UID: "uid-0", Generation: 9}}, start},
		{"ended runs do not count", valid, schedule{running: true, revision: second, children: run}, start},
		{"schedule of another version of Khronicle", valid, schedule{running: true}, start},
		{"schedule was terminated by hand", valid, schedule{revision: third}, start},

		{"gone", nil, schedule{running: true, revision: third}, end},
		{"gone, a run in flight", nil, schedule{running: true, revision: third, inFlight: run}, end},
		{"gone and ended", nil, schedule{revision: third}, nothing},
		{"never was", nil, schedule{}, nothing},

		{"suspended", suspended, schedule{running: true, revision: second}, pause},
		{"suspended at the same revision", suspended, schedule{running: true, revision: third}, pause},
		{"suspended, and its schedule too", suspended, schedule{running: true, revision: third, grid: &paused}, nothing},
		{"suspended, and its schedule was terminated by hand", suspended, schedule{revision: third, grid: &paused}, pause},
		{"suspended and edited", suspended, schedule{running: true, revision: second, grid: &paused}, pause},
		{"resumed, though the cache does not know it", suspended, schedule{running: true, revision: fourth}, nothing},
		{"suspended, though the cache does not know it", valid, schedule{running: true, revision: fourth, grid: &paused}, nothing},
		{"suspended, a run in flight", suspended, schedule{running: true, revision: second, inFlight: run}, pause},
		{"suspended from the start", suspended, schedule{}, pause},
		{"suspended with a bad spec", asleep, schedule{running: true, revision: second}, pause},
		{"suspended with a bad spec from the start", asleep, schedule{}, pause},
		{"suspended with a bad spec and paused", asleep, schedule{running: true, revision: third, grid: &paused}, nothing},
		{"suspended with a bad interval", sleepless, schedule{running: true, revision: second, grid: &minutely}, pause},
		{"suspended with a bad interval, of an unknown schedule", sleepless, schedule{running: true, revision: second}, stop},
		{"suspended with a bad interval, of an unknown schedule that has ended", sleepless, schedule{revision: second}, nothing},
		{"suspended with a bad interval from the start", sleepless, schedule{}, nothing},
		{"suspended with a bad interval, after a namesake", sleepless, schedule{revision: namesake, grid: &minutely}, nothing},
		{"resumed, a run in flight", valid, schedule{revision: second, inFlight: run}, wait},
		{"resumed", valid, schedule{revision: second}, start},
		{"resumed, from a schedule", valid, schedule{running: true, revision: second, grid: &paused}, start},

		{"bad timeout", invalid, schedule{}, fault},
		{"bad interval", badSlot, schedule{}, fault},
		{"no containers", empty, schedule{}, fault},
		{"edited to a bad spec", invalid, schedule{running: true, revision: second}, fault},
		{"bad spec and paused", invalid, schedule{running: true, revision: third, grid: &paused}, nothing},
		{"repaired", valid, schedule{running: true, revision: second, grid: &paused}, start},
		{"edited to a bad spec, a run in flight", invalid, schedule{running: true, revision: second, inFlight: run}, wait},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.check.DeepCopy()
			if got := plan(tt.check, tt.schedule); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if diff := cmp.Diff(before, tt.check); diff != "" {
				t.Errorf("the cached check was changed (-want +got):\n%s", diff)
			}
		})
	}
}

// Once a plan has been carried out, there is nothing left to do: else a schedule would be started again and again.
func TestPlanComesToRest(t *testing.T) {
	tests := []struct {
		name  string
		check *khv1.KuberhealthyCheck
		after schedule
	}{
		{"started", aCheck(nil), schedule{running: true, revision: workflows.RevisionOf(check.FromCheck(aCheck(nil)).Ref)}},
		{
			"paused", aCheck(func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = true }),
			schedule{running: true, revision: workflows.Revision{UID: "uid-1", Generation: 3}, grid: &workflows.Grid{Paused: true}},
		},
		{
			"not valid", aCheck(func(c *khv1.KuberhealthyCheck) { c.Spec.Timeout = "abc" }),
			schedule{running: true, revision: workflows.Revision{UID: "uid-1", Generation: 3}, grid: &workflows.Grid{Paused: true}},
		},
		{"ended", nil, schedule{revision: workflows.Revision{UID: "uid-1", Generation: 3}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := plan(tt.check, tt.after); got != nothing {
				t.Errorf("got %s, want nothing", got)
			}
		})
	}
}

func TestGapBetweenTwoSchedules(t *testing.T) {
	created := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	anchor, now := created.Add(time.Hour), created.Add(2*time.Hour)
	c := aCheck(func(c *khv1.KuberhealthyCheck) {
		c.CreationTimestamp, c.Spec.RunInterval = metav1.NewTime(created), "5m"
	})
	old := check.ScheduleSpec{RunInterval: "1m"}
	third := workflows.Revision{UID: "uid-1", Generation: 3}
	whole := func(change func(*workflows.TicksInput)) *workflows.TicksInput {
		in := &workflows.TicksInput{
			Ref: check.FromCheck(c).Ref, Trigger: check.TriggerSchedule, Schedule: old, Anchor: anchor, After: anchor, Before: now, SinceLast: true,
		}
		change(in)
		return in
	}
	asNow := func(in *workflows.TicksInput) {
		in.Schedule, in.Anchor, in.After = check.ScheduleSpec{RunInterval: "5m"}, time.Time{}, time.Time{}
	}
	tests := []struct {
		name string
		last schedule
		now  time.Time
		want *workflows.TicksInput
	}{
		{"by the schedule of before", schedule{revision: third, grid: &workflows.Grid{Schedule: old, Anchor: anchor}}, now, whole(func(*workflows.TicksInput) {})},
		{
			"of a suspended check",
			schedule{revision: third, grid: &workflows.Grid{Schedule: old, Anchor: anchor, Paused: true}},
			now,
			whole(func(in *workflows.TicksInput) { in.Paused = true }),
		},
		{
			"with runs in flight",
			schedule{revision: third, grid: &workflows.Grid{Schedule: old, Anchor: anchor}, inFlight: []string{"khcheck/ns/dns/first/1", "3c8f1f6e"}},
			now,
			whole(func(in *workflows.TicksInput) { in.Runs = []string{"3c8f1f6e"} }),
		},
		{"no tick was due yet", schedule{revision: third, grid: &workflows.Grid{Schedule: old, Anchor: now.Add(-59 * time.Second)}}, now, nil},
		{"the schedule is of another check of that name", schedule{revision: workflows.Revision{UID: "uid-0"}, grid: &workflows.Grid{Schedule: old, Anchor: anchor}}, now, whole(asNow)},
		{"Temporal knows of no schedule", schedule{}, now, whole(asNow)},
		{"new check", schedule{}, created.Add(time.Second), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, gap(c, tt.last, tt.now)); diff != "" {
				t.Errorf("gap (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGapOfACheckThatIsGone(t *testing.T) {
	before := anchor.Add(2 * time.Minute)
	minutely := check.ScheduleSpec{RunInterval: "1m"}
	last := schedule{
		running: true, revision: workflows.Revision{UID: "uid-0", Generation: 2}, grid: &workflows.Grid{Schedule: minutely, Anchor: anchor},
		inFlight: []string{"3c8f1f6e"},
	}
	want := &workflows.TicksInput{
		Ref:     check.Ref{Kind: khv1.KHCheck, Namespace: "ns", Name: "dns", UID: "uid-0", Generation: 2},
		Trigger: check.TriggerSchedule, Schedule: minutely, Anchor: anchor, After: anchor, Before: before, SinceLast: true, Runs: []string{"3c8f1f6e"},
	}
	if diff := cmp.Diff(want, gapOfGone(workflows.ScheduledCheckID("ns", "dns"), last, before)); diff != "" {
		t.Errorf("gap (-want +got):\n%s", diff)
	}
	if got := gapOfGone(workflows.ScheduledCheckID("ns", "dns"), last, anchor.Add(time.Minute)); got != nil {
		t.Errorf("gap before a tick was due is %+v, want none", got)
	}
	last.grid = nil
	if got := gapOfGone(workflows.ScheduledCheckID("ns", "dns"), last, before); got != nil {
		t.Errorf("gap of a schedule whose grid is not known is %+v, want none", got)
	}
}

func TestInputOfTheTicks(t *testing.T) {
	c := aCheck(func(c *khv1.KuberhealthyCheck) { c.Spec.Schedule, c.Spec.TimeZone = "0 9 * * *", "Europe/Berlin" })
	ref := check.Ref{Kind: khv1.KHCheck, Namespace: "ns", Name: "dns", UID: "uid-1", Generation: 3}
	want := workflows.ScheduledCheckInput{
		Ref: ref, Trigger: workflows.TriggerSchedule, Timeout: 30 * time.Second, FirstRun: workflows.FirstRunID(ref),
		Schedule: check.ScheduleSpec{RunInterval: "1m", Schedule: "0 9 * * *", TimeZone: "Europe/Berlin"}, Anchor: anchor,
	}
	if diff := cmp.Diff(want, input(c, anchor)); diff != "" {
		t.Errorf("input differs (-want +got):\n%s", diff)
	}
}

func TestInputOfASingleRun(t *testing.T) {
	job := &khv1.KuberhealthyJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "smoke", UID: "uid-2", Generation: 1},
		Spec:       khv1.JobConfig{Timeout: "45s"},
	}
	tests := []struct {
		name     string
		workload check.Workload
		trigger  workflows.Trigger
		want     workflows.ScheduledCheckInput
	}{
		{"first run of a check", check.FromCheck(aCheck(nil)), workflows.TriggerFirst, workflows.ScheduledCheckInput{
			Ref:     check.Ref{Kind: khv1.KHCheck, Namespace: "ns", Name: "dns", UID: "uid-1", Generation: 3},
			Trigger: workflows.TriggerFirst, Timeout: 30 * time.Second,
		}},
		{"job", check.FromJob(job), workflows.TriggerJob, workflows.ScheduledCheckInput{
			Ref:     check.Ref{Kind: khv1.KHJob, Namespace: "ns", Name: "smoke", UID: "uid-2", Generation: 1},
			Trigger: workflows.TriggerJob, Timeout: 45 * time.Second,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, firstInput(tt.workload, tt.trigger)); diff != "" {
				t.Errorf("input differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTimeoutOf(t *testing.T) {
	for value, want := range map[string]time.Duration{"": 5 * time.Minute, "30s": 30 * time.Second, "abc": 5 * time.Minute, "-1s": 5 * time.Minute} {
		if got := timeoutOf(check.Workload{Timeout: value}); got != want {
			t.Errorf("timeout of %q is %s, want %s", value, got, want)
		}
	}
}

func TestActionNames(t *testing.T) {
	for a, want := range map[action]string{nothing: "nothing", end: "end", pause: "pause", wait: "wait", fault: "fault", start: "start"} {
		if got := a.String(); got != want {
			t.Errorf("action %d is called %s, want %s", int(a), got, want)
		}
	}
}
