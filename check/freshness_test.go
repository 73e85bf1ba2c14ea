package check_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// created is when the checks and jobs of these tests appeared, unless they say otherwise.
const created = "2026-11-01T00:00:00Z"

func runnable() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "check", Image: "example/check:1"}}}
}

// checkSince is the check ns/dns that appeared at a time. It runs every 10 minutes for at most 5, unless changed.
func checkSince(t testing.TB, created string, change func(*khv1.CheckConfig)) *khv1.KuberhealthyCheck {
	t.Helper()
	c := &khv1.KuberhealthyCheck{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "dns", UID: "uid-1", CreationTimestamp: metav1.NewTime(at(t, created))},
		Spec:       khv1.CheckConfig{RunInterval: "10m", Timeout: "5m", PodSpec: runnable()},
	}
	if change != nil {
		change(&c.Spec)
	}
	return c
}

// ran is the state of ns/dns after a run that passed. Without a start, it is a state that Kuberhealthy wrote.
func ran(t *testing.T, started, lastRun string) *khv1.KuberhealthyState {
	t.Helper()
	state := stateOf("ns", "dns", func(d *khv1.WorkloadDetails) { d.LastRun = &metav1.Time{Time: at(t, lastRun)} })
	state.Spec.KHWorkload = nil
	if started != "" {
		state.Annotations = map[string]string{check.AnnotationRunStarted: started}
	}
	return state
}

func failed(state *khv1.KuberhealthyState) *khv1.KuberhealthyState {
	state.Spec.OK, state.Spec.Errors = false, []string{"it failed"}
	return state
}

func every(interval, timeout string) func(*khv1.CheckConfig) {
	return func(s *khv1.CheckConfig) { s.RunInterval, s.Timeout = interval, timeout }
}

func cronIn(zone, expression string) func(*khv1.CheckConfig) {
	return func(s *khv1.CheckConfig) { s.RunInterval, s.Schedule, s.TimeZone = "", expression, zone }
}

func TestAwaitedOfCheck(t *testing.T) {
	const berlin = "Europe/Berlin"
	suspended := func(s *khv1.CheckConfig) { s.Suspend = true }
	invalid := func(s *khv1.CheckConfig) { s.Timeout = "soon" }
	tests := []struct {
		name    string
		created string
		spec    func(*khv1.CheckConfig)
		state   *khv1.KuberhealthyState
		// since is empty when no run has ended. by is empty when no outcome is expected.
		since, by string
	}{
		// An interval after the last outcome and 30 seconds for the end of its pod, the timeout, and the grace.
		{"interval", created, nil, ran(t, "2026-11-22T12:00:00.04Z", "2026-11-22T12:00:10Z"), "2026-11-22T12:00:10Z", "2026-11-22T12:16:40Z"},
		{"short interval: least grace", created, every("5s", "10s"), ran(t, "2026-11-22T12:00:00Z", "2026-11-22T12:00:02Z"), "2026-11-22T12:00:02Z", "2026-11-22T12:01:17Z"},
		{"long interval: most grace", created, every("24h", "5m"), ran(t, "2026-11-22T12:00:00Z", "2026-11-22T12:00:00Z"), "2026-11-22T12:00:00Z", "2026-11-23T12:15:30Z"},
		{"defaults", created, every("", ""), ran(t, "2026-11-22T12:00:00Z", "2026-11-22T12:00:10Z"), "2026-11-22T12:00:10Z", "2026-11-22T12:16:40Z"},
		{"a run longer than the interval: its ticks are skipped", created, every("1m", "10m"), ran(t, "2026-11-22T12:00:00Z", "2026-11-22T12:08:00Z"), "2026-11-22T12:08:00Z", "2026-11-22T12:20:00Z"},
		{"a run to its deadline, which is the next tick", created, every("5m", "5m"), ran(t, "2026-11-22T12:00:00Z", "2026-11-22T12:05:00Z"), "2026-11-22T12:05:00Z", "2026-11-22T12:16:00Z"},
		{"recorded hours late", created, nil, ran(t, "2026-11-22T09:00:00Z", "2026-11-22T12:00:00Z"), "2026-11-22T09:05:00Z", "2026-11-22T09:21:30Z"},
		{"recorded by a clock that is wrong", created, nil, ran(t, "2026-11-22T12:00:00Z", "2099-01-01T00:00:00Z"), "2026-11-22T12:05:00Z", "2026-11-22T12:21:30Z"},
		{"of Kuberhealthy: by its last run", created, nil, ran(t, "", "2026-11-22T12:00:10Z"), "2026-11-22T12:00:10Z", "2026-11-22T12:16:40Z"},
		{"a start that cannot be read", created, nil, ran(t, "noon", "2026-11-22T12:00:10Z"), "2026-11-22T12:00:10Z", "2026-11-22T12:16:40Z"},
		{"failed: its age counts all the same", created, nil, failed(ran(t, "", "2026-11-22T12:00:10Z")), "2026-11-22T12:00:10Z", "2026-11-22T12:16:40Z"},

		{"cron: at six, not at noon", created, cronIn(berlin, "0 6 * * *"), ran(t, "2026-11-22T05:00:00.04Z", "2026-11-22T05:00:12Z"), "2026-11-22T05:00:12Z", "2026-11-23T05:15:00Z"},
		{"cron: a tick that began a second early", created, cronIn(berlin, "0 6 * * *"), ran(t, "2026-11-22T04:59:59.1Z", "2026-11-22T04:59:59Z"), "2026-11-22T04:59:59Z", "2026-11-23T05:15:00Z"},
		{"cron: an overdue run after an outage", created, cronIn(berlin, "0 6 * * *"), ran(t, "2026-11-22T08:00:01Z", "2026-11-22T08:00:12Z"), "2026-11-22T08:00:12Z", "2026-11-23T05:15:00Z"},
		{"cron: every minute", created, cronIn("", "* * * * *"), ran(t, "2026-11-22T12:00:00Z", "2026-11-22T12:00:12Z"), "2026-11-22T12:00:12Z", "2026-11-22T12:06:30Z"},
		{"cron: every minute, skipped by a long run", created, cronIn("", "* * * * *"), ran(t, "2026-11-22T12:00:00Z", "2026-11-22T12:03:00Z"), "2026-11-22T12:03:00Z", "2026-11-22T12:09:30Z"},
		{"cron: not at the weekend", created, cronIn("", "0 9 * * 1-5"), ran(t, "2026-11-20T09:00:00Z", "2026-11-20T09:00:05Z"), "2026-11-20T09:00:05Z", "2026-11-23T09:15:00Z"},
		{"cron: the night summer time begins has no half past two", created, cronIn(berlin, "30 2 * * *"), ran(t, "2027-03-27T01:30:00Z", "2027-03-27T01:30:05Z"), "2027-03-27T01:30:05Z", "2027-03-29T00:45:00Z"},
		{"cron: the day summer time ends has 25 hours", created, cronIn(berlin, "0 6 * * *"), ran(t, "2027-10-30T04:00:00Z", "2027-10-30T04:00:05Z"), "2027-10-30T04:00:05Z", "2027-10-31T05:15:00Z"},
		{"interval: the day summer time ends is as any other", created, every("1h", "5m"), ran(t, "2027-10-31T00:30:00Z", "2027-10-31T00:30:05Z"), "2027-10-31T00:30:05Z", "2027-10-31T01:41:35Z"},
		{"cron: the longest time between two ticks", created, cronIn("", "0 0 29 2 *"), ran(t, "", "2097-01-01T00:00:00Z"), "2097-01-01T00:00:00Z", "2104-02-29T00:15:00Z"},
		{"cron: the day whose midnight does not exist", created, cronIn("Africa/Cairo", "0 12 * * 5"), ran(t, "2027-04-23T10:00:00Z", "2027-04-23T10:00:05Z"), "2027-04-23T10:00:05Z", "2027-04-30T09:15:00Z"},

		// No run has ended: the spread of first runs, the timeout, and the grace.
		{"never ran", created, every("2m", "5m"), nil, "", "2026-11-01T00:07:30Z"},
		{"never ran: spread over ten minutes at most", created, every("1h", "5m"), nil, "", "2026-11-01T00:21:00Z"},
		{"never ran: cron starts at once too", created, cronIn(berlin, "0 6 * * *"), nil, "", "2026-11-01T00:25:00Z"},
		{"a state without a recorder shows no run", created, every("2m", "5m"), withoutRecorder(ran(t, "", "2026-11-22T12:00:00Z")), "", "2026-11-01T00:07:30Z"},
		{"nor does one without a time", created, every("2m", "5m"), withoutTime(ran(t, "", created)), "", "2026-11-01T00:07:30Z"},
		{"a state from before the check: as if it had not run", "2026-11-22T13:00:00Z", every("2m", "5m"), ran(t, "", "2026-11-22T12:00:00Z"), "2026-11-22T12:00:00Z", "2026-11-22T13:07:30Z"},
		{"a state from before the check by a clock that is behind", "2026-11-22T12:00:05Z", cronIn(berlin, "0 6 * * *"), ran(t, "", "2026-11-22T12:00:00Z"), "2026-11-22T12:00:00Z", "2026-11-23T05:15:00Z"},

		{"suspended", created, suspended, ran(t, "", created), "", ""},
		{"suspended, never ran", created, suspended, nil, "", ""},
		{"not valid, and says so", created, invalid, failed(ran(t, "", created)), "", ""},
		{"not valid, and has said nothing", created, func(s *khv1.CheckConfig) { s.RunInterval, s.Timeout = "2m", "soon" }, nil, "", "2026-11-01T00:07:30Z"},
		{"not valid, and shows a success of the spec before", created, invalid, ran(t, "", "2026-11-22T12:00:10Z"), "2026-11-22T12:00:10Z", "2026-11-22T12:16:40Z"},
		{"interval that is not valid: the default", created, every("often", "5m"), nil, "", "2026-11-01T00:16:00Z"},
		{"a century", created, every("876000h", "876000h"), ran(t, "", "2026-11-22T12:00:00Z"), "2026-11-22T12:00:00Z", "2226-10-05T12:10:30Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := check.AwaitedOfCheck(checkSince(t, tt.created, tt.spec), tt.state)
			want := check.Awaited{Ref: got.Ref}
			if tt.by != "" {
				want.By = at(t, tt.by)
			}
			switch {
			case tt.since != "":
				want.Since = at(t, tt.since)
			case tt.by != "":
				want.Since, want.First = at(t, tt.created), true
			}
			if diff := cmp.Diff(want, got); diff != "" || got.String() != "ns/dns" || got.Kind != khv1.KHCheck {
				t.Errorf("%s %s differs (-want +got):\n%s", got.Kind, got.Ref, diff)
			}
		})
	}
}

func withoutRecorder(state *khv1.KuberhealthyState) *khv1.KuberhealthyState {
	state.Spec.AuthoritativePod = ""
	return state
}

func withoutTime(state *khv1.KuberhealthyState) *khv1.KuberhealthyState {
	state.Spec.LastRun = nil
	return state
}

func TestAwaitedOfJob(t *testing.T) {
	const first = "2026-11-01T00:05:30Z"
	owned := func(state *khv1.KuberhealthyState) *khv1.KuberhealthyState {
		state.OwnerReferences = check.OwnersOf(check.Ref{Kind: khv1.KHJob, Name: "dns", UID: "uid-2"})
		return state
	}
	tests := []struct {
		name    string
		phase   khv1.JobPhase
		timeout string
		state   *khv1.KuberhealthyState
		by      string
	}{
		{"waits for its run", "", "5m", nil, first},
		{"runs", khv1.JobRunning, "5m", nil, first},
		{"timeout of its own", khv1.JobRunning, "90s", nil, "2026-11-01T00:02:00Z"},
		{"timeout that cannot be read", "", "soon", nil, first},
		{"completed", khv1.JobCompleted, "5m", nil, ""},
		{"has its outcome, and its pod is still removed", khv1.JobRunning, "5m", ran(t, created, "2026-11-01T00:05:00Z"), ""},
		{"has its outcome, by a clock that is behind", khv1.JobRunning, "5m", owned(ran(t, "", "2026-10-31T23:59:58Z")), ""},
		{"state of an earlier job", khv1.JobRunning, "5m", ran(t, "", "2026-10-31T23:59:58Z"), first},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := check.AwaitedOfJob(&khv1.KuberhealthyJob{
				ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "dns", UID: "uid-2", CreationTimestamp: metav1.NewTime(at(t, created))},
				Spec:       khv1.JobConfig{Phase: tt.phase, Timeout: tt.timeout, PodSpec: runnable()},
			}, tt.state)
			want := check.Awaited{Ref: check.Ref{Kind: khv1.KHJob, Namespace: "ns", Name: "dns", UID: "uid-2"}}
			if tt.by != "" {
				want.Since, want.First, want.By = at(t, created), true, at(t, tt.by)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnknownFromTheMomentThatTheOutcomeIsOverdue(t *testing.T) {
	awaited := check.AwaitedOfCheck(checkSince(t, created, nil), ran(t, "", "2026-11-22T12:00:10Z"))
	for now, want := range map[string]bool{
		"2026-11-22T12:00:10Z": false, "2026-11-22T12:16:40Z": false, "2026-11-22T12:16:40.000000001Z": true, "2027-11-22T12:16:40Z": true,
	} {
		if got := awaited.Unknown(at(t, now)); got != want {
			t.Errorf("at %s: unknown is %t, want %t", now, got, want)
		}
	}
	if (check.Awaited{}).Unknown(now) {
		t.Error("unknown although no outcome is expected")
	}
}

// A text that contains an age would make a new series of the metrics at each scrape.
func TestTextOfUnknownDoesNotChangeWithTime(t *testing.T) {
	const ran8 = "2026-11-22T13:00:10.4+01:00"
	state := ran(t, "", ran8)
	tests := []struct {
		name  string
		state *khv1.KuberhealthyState
		want  string
	}{
		{"ran", state, "unknown: ns/dns: no run has ended since 2026-11-22T12:00:10Z; one was due by 2026-11-22T12:16:40Z"},
		{"never ran", nil, "unknown: ns/dns: no outcome is known since its creation at 2026-11-01T00:00:00Z; one was due by 2026-11-01T00:16:00Z"},
	}
	for _, tt := range tests {
		if got := check.AwaitedOfCheck(checkSince(t, created, nil), tt.state).Text(); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// An object does not say when it was last edited. After an edit that asks for more runs, the last outcome is at once too
// old. The check is then unknown until its new first run has ended. The same holds for a check that is resumed.
func TestEditedCheckIsUnknownUntilItsFirstRunHasEnded(t *testing.T) {
	const lastRun, edited, ended = "2026-11-22T12:00:10Z", "2026-11-22T12:30:00Z", "2026-11-22T12:30:03Z"
	suspended := func(s *khv1.CheckConfig) { s.RunInterval, s.Suspend = "1m", true }
	tests := []struct {
		name          string
		before, after func(*khv1.CheckConfig)
		want          bool
	}{
		{"to a shorter interval", every("1h", "5m"), every("1m", "5m"), true},
		{"to a longer interval", every("40m", "5m"), every("1h", "5m"), false},
		{"to another pod", every("1h", "5m"), every("1h", "5m"), false},
		{"resumed", suspended, every("1m", "5m"), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			unknown := func(spec func(*khv1.CheckConfig), state *khv1.KuberhealthyState) bool {
				return check.AwaitedOfCheck(checkSince(t, created, spec), state).Unknown(at(t, edited))
			}
			if unknown(tt.before, ran(t, "", lastRun)) {
				t.Error("unknown before the edit")
			}
			if got := unknown(tt.after, ran(t, "", lastRun)); got != tt.want {
				t.Errorf("after the edit: unknown is %t, want %t", got, tt.want)
			}
			if unknown(tt.after, ran(t, edited, ended)) {
				t.Error("unknown after the first run of the new spec")
			}
		})
	}
}

// engine is a model of what Khronicle does with one check while it works. Ticks follow a schedule, start seconds late, and
// are skipped while a run is open. A run takes any time up to the timeout, and its pod takes some time to end.
type engine struct {
	random   *rand.Rand
	schedule check.Schedule
	start    time.Time
	timeout  time.Duration
	cron     bool
}

func (e engine) upTo(d time.Duration) time.Duration {
	return time.Duration(e.random.Int64N(int64(d) + 1))
}

// run is one run that begins at a tick. It returns the times in its state, and from when on the next tick may start.
func (e engine) run(tick time.Time) (started, recorded, over time.Time) {
	const late, exit = 5 * time.Second, 20 * time.Second
	started = tick.Add(e.upTo(late) - e.upTo(time.Second))
	took := e.upTo(e.timeout)
	if e.random.IntN(3) == 0 {
		took = e.timeout
	}
	recorded = started.Add(took + e.upTo(late))
	return started, recorded, recorded.Add(e.upTo(exit))
}

// While the engine works, no check is unknown at any moment. Interval, timeout and the times of the ticks do not matter.
// When the engine stops, each check becomes unknown within a bound.
func TestNoCheckIsUnknownWhileTheEngineWorks(t *testing.T) {
	specs := []func(*khv1.CheckConfig){
		every("1s", "1s"), every("5s", "10s"), every("10s", "5m"), every("1m", "59s"), every("2m", "15m"), every("5m", "5m"), every("10m", "15m"),
		every("1h", "1h"), every("24h", "5m"), cronIn("", "* * * * *"), cronIn("", "*/5 * * * *"), cronIn("Europe/Berlin", "30 2 * * *"),
		cronIn("America/New_York", "0 9-17 * * 1-5"),
	}
	const seed = 20261122
	for i, spec := range specs {
		c := checkSince(t, "2026-10-20T00:00:07Z", spec)
		t.Run(fmt.Sprintf("%s%s for %s", c.Spec.RunInterval, c.Spec.Schedule, c.Spec.Timeout), func(t *testing.T) {
			timeout, err := check.ParseTimeout(c.Spec.Timeout)
			if err != nil {
				t.Fatal(err)
			}
			e := engine{rand.New(rand.NewPCG(seed, uint64(i))), parseSchedule(t, check.ScheduleOf(c.Spec)), c.CreationTimestamp.Time, timeout, c.Spec.Schedule != ""}
			owed, tick := check.AwaitedOfCheck(c, nil), e.start
			for n := range 2000 {
				started, recorded, over := e.run(tick)
				if owed.Unknown(recorded) {
					t.Fatalf("run %d from %s ends at %s, want an end by %s", n, started, recorded, owed.By)
				}
				owed = check.AwaitedOfCheck(c, check.NewState(nil, checkRef, runUUID, "worker-0", check.Conclusion{Started: started, Concluded: recorded}))
				if bound := recorded.Add(e.longest()); owed.By.After(bound) {
					t.Fatalf("the outcome after that of %s is expected by %s, want %s at the latest", recorded, owed.By, bound)
				}
				tick = e.schedule.Next(e.start, over.Add(-time.Nanosecond))
				if e.random.IntN(20) == 0 { // the engine was away: one overdue run starts at once, between the ticks
					tick = tick.Add(e.upTo(3 * e.schedule.Interval(tick)))
					owed.By = time.Time{}
				}
			}
		})
	}
}

// longest is the longest time from one outcome to the moment at which the next one is overdue. It is the sum of the longest
// time between two ticks, the timeout, 30 seconds for the end of the pod, and the grace.
func (e engine) longest() time.Duration {
	interval := e.schedule.Interval(e.start)
	if e.cron {
		interval = max(interval, 65*time.Hour) // from Friday evening to Monday morning when summer time ends
	}
	return interval + e.timeout + 30*time.Second + min(max(interval/10, 30*time.Second), 10*time.Minute)
}
