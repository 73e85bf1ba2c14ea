package check_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
)

// asking returns a check with this value of the annotation, and with the progress of an earlier request.
func asking(value string, last *khv1.RunRequest) *khv1.KuberhealthyCheck {
	c := &khv1.KuberhealthyCheck{Status: khv1.CheckStatus{LastRequest: last}}
	if value != "" {
		c.Annotations = map[string]string{protocol.AnnotationRequestedAt: value}
	}
	return c
}

func inPhase(value string, phase khv1.RunRequestPhase) *khv1.RunRequest {
	return check.NewRequest(value, phase, now)
}

func TestOpenRequest(t *testing.T) {
	long := strings.Repeat("x", 1000)
	tests := []struct {
		name  string
		check *khv1.KuberhealthyCheck
		want  string // empty: nothing to start or to follow
		taken bool
	}{
		{"none", asking("", nil), "", false},
		{"the first", asking("1", nil), "1", false},
		{"one that waits", asking("1", inPhase("1", khv1.RequestWaiting)), "1", true},
		{"one that runs", asking("1", inPhase("1", khv1.RequestRunning)), "1", true},
		{"one that has ended", asking("1", inPhase("1", khv1.RequestEnded)), "", true},
		{"one that was refused", asking("1", inPhase("1", khv1.RequestRefused)), "", false},
		{"another one", asking("2", inPhase("1", khv1.RequestEnded)), "2", true},
		{"another one, while one runs", asking("2", inPhase("1", khv1.RequestRunning)), "1", true},
		{"the annotation was removed while one runs", asking("", inPhase("1", khv1.RequestRunning)), "1", true},
		{"the annotation was removed", asking("", inPhase("1", khv1.RequestEnded)), "", true},
		{"a long value", asking(long, nil), long[:128], false},
		{"a long value that was refused", asking(long, inPhase(long[:128], khv1.RequestRefused)), "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			value, ok := check.OpenRequest(tt.check)
			if !ok {
				value = ""
			}
			if value != tt.want {
				t.Errorf("got %q, want %q", value, tt.want)
			}
			if last := tt.check.Status.LastRequest; last != nil && check.AsksFurther(tt.check, last) != (value != "" && value != last.Value) {
				t.Errorf("asks further is wrong for %+v", last)
			}
			if last := tt.check.Status.LastRequest; last != nil && check.TakenUp(tt.check, last.Value) != tt.taken {
				t.Errorf("taken up is %t, want %t", !tt.taken, tt.taken)
			}
		})
	}
}

func TestRefusedRequest(t *testing.T) {
	const long = 1000
	tests := []struct {
		name       string
		check      *khv1.KuberhealthyCheck
		scheduling check.Scheduling
		want       string
	}{
		{"none", asking("1", nil), check.Scheduling{Scheduled: true}, ""},
		{"too long", asking(strings.Repeat("x", long), nil), check.Scheduling{}, "metadata.annotations[khronicle.github.io/requested-at]: it has 1000 bytes: a value of at most 128 would be right"},
		{"a check that never runs", asking("1", nil), check.Scheduling{Final: true, Problem: "the name is too long"}, "the name is too long"},
		{"too long, while another one runs", asking(strings.Repeat("x", long), inPhase("1", khv1.RequestRunning)), check.Scheduling{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			value, _ := check.OpenRequest(tt.check)
			got := check.RefusedRequest(tt.check, value, tt.scheduling, now)
			if tt.want == "" {
				if got != nil {
					t.Errorf("refused: %+v", got)
				}
				return
			}
			want := &khv1.RunRequest{Value: value, Phase: khv1.RequestRefused, Time: metav1.NewTime(now), Message: tt.want}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatusShowsTheProgressOfARequest(t *testing.T) {
	steps := []*khv1.RunRequest{
		inPhase("1", khv1.RequestWaiting), inPhase("1", khv1.RequestRunning), check.EndedRequest("1", check.Succeeded, runUUID, now),
		inPhase("2", khv1.RequestRefused), check.LostRequest("3", now),
	}
	f := after(facts(t))
	for _, step := range steps {
		f.Request = step
		status, changed := check.NextStatus(f)
		if diff := cmp.Diff(step, status.LastRequest); diff != "" || !changed {
			t.Errorf("changed %t, request (-want +got):\n%s", changed, diff)
		}
		refused := step.Phase == khv1.RequestRefused
		if events := check.StatusEvents(f.Check.Status, status); len(events) > 0 != refused || refused && events[0].Reason != check.EventRefused {
			t.Errorf("%s: events %v", step.Phase, events)
		}
		f = after(f)
		f.Now = f.Now.Add(time.Minute)
		if _, again := check.NextStatus(f); again {
			t.Errorf("%s is written again", step.Phase)
		}
	}
}
