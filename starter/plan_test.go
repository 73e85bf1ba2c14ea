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

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// aCheck returns revision 3 of a valid check, changed.
func aCheck(changes ...func(*khv1.CheckConfig)) *khv1.KuberhealthyCheck {
	c := &khv1.KuberhealthyCheck{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "dns", UID: "uid-1", Generation: 3},
		Spec: khv1.CheckConfig{
			RunInterval: "1m", Timeout: "30s",
			PodSpec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "dns:1"}}},
		},
	}
	for _, change := range changes {
		change(&c.Spec)
	}
	return c
}

func suspend(spec *khv1.CheckConfig)     { spec.Suspend = true }
func badTimeout(spec *khv1.CheckConfig)  { spec.Timeout = "abc" }
func badInterval(spec *khv1.CheckConfig) { spec.RunInterval = "often" }
func noPod(spec *khv1.CheckConfig)       { spec.PodSpec.Containers = nil }

// aSchedule returns the open schedule of a generation of that check, which ticks in a minute, changed.
func aSchedule(generation int64, changes ...func(*schedule)) schedule {
	l := schedule{
		exists: true, open: true, runID: "tick", executionTime: now.Add(time.Minute),
		revision: workflows.Revision{UID: "uid-1", Generation: generation},
		input: workflows.ScheduledCheckInput{
			Ref: check.Ref{UID: "uid-1", Generation: generation}, Schedule: check.ScheduleSpec{RunInterval: "1m"},
		},
	}
	for _, change := range changes {
		change(&l)
	}
	return l
}

func paused(l *schedule)  { l.revision.Paused, l.input.Paused = true, true }
func running(l *schedule) { l.openRun = run{"run", "run"} }
func ended(l *schedule)   { l.open, l.closeTime = false, now.Add(-time.Second) }
func unread(l *schedule)  { l.input = workflows.ScheduledCheckInput{} }
func due50ms(l *schedule) { l.executionTime = now.Add(50 * time.Millisecond) }
func late1s(l *schedule)  { l.executionTime = now.Add(-time.Second) }
func late6s(l *schedule)  { l.executionTime = now.Add(-6 * time.Second) }

func ofNamesake(l *schedule) { l.revision.UID, l.input.Ref.UID = "uid-0", "uid-0" }

func TestPlanFollowsTheCheckAndItsSchedule(t *testing.T) {
	none := schedule{}
	tests := []struct {
		name  string
		check *khv1.KuberhealthyCheck
		last  schedule
		want  action
	}{
		{"new check", aCheck(), none, start},
		{"up to date", aCheck(), aSchedule(3), nothing},
		{"up to date, a tick decides", aCheck(), aSchedule(3, late1s), nothing},
		{"edited", aCheck(), aSchedule(2), start},
		{"edited, a run is open", aCheck(), aSchedule(2, running), wait},
		{"edited, a tick is due", aCheck(), aSchedule(2, due50ms), look},
		{"edited, a tick decides", aCheck(), aSchedule(2, late1s), look},
		{"edited, and no worker decides", aCheck(), aSchedule(2, late6s), start},
		{"edited, and the schedule was ended while a tick decided", aCheck(), aSchedule(2, late1s, ended), look},
		{"edited, and the schedule was ended", aCheck(), aSchedule(2, ended), start},
		{"schedule is ahead of the cache", aCheck(), aSchedule(4), nothing},
		{"schedule was terminated by hand", aCheck(), aSchedule(3, ended), start},
		{"schedule of an unknown kind", aCheck(), schedule{exists: true, open: true, executionTime: now.Add(time.Hour)}, start},

		{"created anew", aCheck(), aSchedule(3, ofNamesake), end},
		{"created anew, with a lower revision", aCheck(), aSchedule(9, ofNamesake), end},
		{"created anew, and the old schedule has ended", aCheck(), aSchedule(3, ofNamesake, ended), start},
		{"created anew, and the old run is open", aCheck(), aSchedule(3, ofNamesake, ended, running), wait},

		{"deleted", nil, aSchedule(3), end},
		{"deleted, a run is open", nil, aSchedule(3, running), end},
		{"deleted, a tick decides", nil, aSchedule(3, late1s), look},
		{"deleted and ended", nil, aSchedule(3, ended), nothing},
		{"never was", nil, none, nothing},

		{"suspended", aCheck(suspend), aSchedule(2), pause},
		{"suspended at the same revision", aCheck(suspend), aSchedule(3), pause},
		{"suspended, a run is open", aCheck(suspend), aSchedule(2, running), pause},
		{"suspended, a tick decides", aCheck(suspend), aSchedule(2, late1s), look},
		{"suspended, and its schedule too", aCheck(suspend), aSchedule(3, paused), nothing},
		{"suspended, and its schedule was terminated by hand", aCheck(suspend), aSchedule(3, paused, ended), pause},
		{"suspended and edited", aCheck(suspend), aSchedule(2, paused), pause},
		{"suspended from the start", aCheck(suspend), none, pause},
		{"resumed, though the cache does not know it", aCheck(suspend), aSchedule(4), nothing},
		{"suspended, though the cache does not know it", aCheck(), aSchedule(4, paused), nothing},
		{"suspended with a bad spec", aCheck(suspend, badTimeout), aSchedule(2), pause},
		{"suspended with a bad interval", aCheck(suspend, badInterval), aSchedule(2), pause},
		{"suspended with a bad interval, of an unknown schedule", aCheck(suspend, badInterval), aSchedule(2, unread), pause},
		{"suspended with a bad interval, of an unknown schedule that has ended", aCheck(suspend, badInterval), aSchedule(2, unread, ended), nothing},
		{"suspended with a bad interval from the start", aCheck(suspend, badInterval), none, nothing},
		{"suspended with a bad interval, after a namesake", aCheck(suspend, badInterval), aSchedule(2, ofNamesake, ended), nothing},
		{"resumed", aCheck(), aSchedule(2, paused), start},
		{"resumed, a run is open", aCheck(), aSchedule(2, paused, running), wait},
		{"resumed, while the ticks are recorded", aCheck(), aSchedule(2, paused, late1s), start},

		{"bad timeout", aCheck(badTimeout), none, fault},
		{"bad interval", aCheck(badInterval), none, fault},
		{"no containers", aCheck(noPod), none, fault},
		{"edited to a bad spec", aCheck(badTimeout), aSchedule(2), fault},
		{"edited to a bad spec, a run is open", aCheck(badTimeout), aSchedule(2, running), wait},
		{"bad spec and paused", aCheck(badTimeout), aSchedule(3, paused), nothing},
		{"repaired", aCheck(), aSchedule(2, paused), start},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.check.DeepCopy()
			if got := plan(tt.check, tt.last, now); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if diff := cmp.Diff(before, tt.check); diff != "" {
				t.Errorf("the cached check was changed (-want +got):\n%s", diff)
			}
		})
	}
}

// Spans without a tick are not recorded.
func TestTicksOfASpan(t *testing.T) {
	tests := []struct {
		name   string
		c      *khv1.KuberhealthyCheck
		last   schedule
		before time.Duration
		want   int
	}{
		{"none was due yet", aCheck(), aSchedule(2), 59 * time.Second, 0},
		{"one was due", aCheck(), aSchedule(2), 61 * time.Second, 1},
		{"one is due at the very beginning of the next schedule", aCheck(), aSchedule(2), time.Minute, 0},
		{"of a new check", aCheck(), schedule{}, 59 * time.Second, 0},
		{"of a check of which nothing is known", aCheck(), schedule{}, time.Hour, 1},
		{"of a check that nothing says the schedule of", aCheck(badInterval), schedule{}, time.Hour, 0},
		{"of a check whose last schedule is known", aCheck(badInterval), aSchedule(2), time.Hour, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.last.last = workflows.ScheduledCheckResult{Start: now, Tick: now}
			if tt.c != nil {
				tt.c.CreationTimestamp = metav1.NewTime(now)
			}
			if got := due(ticksBetween(tt.c, tt.last, now.Add(tt.before))); len(got) != tt.want {
				t.Errorf("got the spans %+v, want %d", got, tt.want)
			}
		})
	}
	if got := due(ticksOf(schedule{}, now)); len(got) != 0 {
		t.Errorf("of a schedule that cannot be read, got the spans %+v", got)
	}
}

func TestActionsHaveNames(t *testing.T) {
	for a := nothing; a <= fault; a++ {
		if a.String() == "" {
			t.Errorf("action %d has no name", a)
		}
	}
}
