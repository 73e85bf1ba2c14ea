package starter_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// many returns this many checks, created at the same moment, as by one apply.
func many(n int, created time.Time, changes ...func(*khv1.KuberhealthyCheck)) []any {
	var all []any
	for i := range n {
		c := cart(changes...)
		c.Name, c.UID = fmt.Sprintf("check-%03d", i), types.UID(fmt.Sprintf("uid-%03d", i))
		c.CreationTimestamp = metav1.NewTime(created)
		all = append(all, c)
	}
	return all
}

// started returns how many schedules were started until now.
func (w *world) started() int {
	synctest.Wait()
	w.temporal.mu.Lock()
	defer w.temporal.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(w.temporal.did), func(did string) bool {
		return !strings.HasPrefix(did, "start khcheck/") || strings.Contains(did, "/first/")
	}))
}

// bubbleStart is when the fake time of every test begins.
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func TestManyChecksThatAppearTogetherAreSpreadOverTheirInterval(t *testing.T) {
	tests := []struct {
		name    string
		created time.Time
		change  func(*khv1.KuberhealthyCheck)
		// window is the time within which all checks must have started.
		window time.Duration
	}{
		{"applied now", bubbleStart, every("2m"), 2 * time.Minute},
		{"there since long ago, as after a move from Kuberhealthy", bubbleStart.Add(-1000 * time.Hour), every("2m"), 2 * time.Minute},
		{"a long interval does not leave a check unknown for long", bubbleStart, every("24h"), 10 * time.Minute},
		{"cron expression", bubbleStart, func(c *khv1.KuberhealthyCheck) { c.Spec.Schedule = "*/5 * * * *" }, 5 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, many(200, tt.created, tt.change), func(t *testing.T, w *world) {
				if n := w.started(); n != 20 {
					t.Errorf("%d started at once, want the 20 of the burst", n)
				}
				largest, before := 0, w.started()
				for range 10 {
					time.Sleep(tt.window / 10)
					largest, before = max(largest, w.started()-before), w.started()
				}
				if before != 200 {
					t.Errorf("%d of 200 started within %s", before, tt.window)
				}
				if largest > 30 { // 18 of 180 is the mean
					t.Errorf("%d started in one tenth of the window", largest)
				}
			})
		})
	}
}

func TestFewChecksStartAtOnce(t *testing.T) {
	inWorld(t, many(20, bubbleStart), func(t *testing.T, w *world) {
		if n := w.started(); n != 20 {
			t.Errorf("%d of 20 started at once", n)
		}
	})
}

func TestEditAndDeletionDoNotWaitForTheOthers(t *testing.T) {
	inWorld(t, many(200, bubbleStart), func(t *testing.T, w *world) {
		time.Sleep(2 * time.Second) // the burst recovers by one a second
		before := w.started()
		edited := many(200, bubbleStart, every("3m"))[w.firstStarted(t)].(*khv1.KuberhealthyCheck)
		ref := check.FromCheck(edited).Ref
		ref.Generation = 1
		w.temporal.complete(w.temporal.uuid(t, workflows.FirstRunID(ref)))
		w.cluster.apply(edited)
		if n := w.started() - before; n != 1 {
			t.Errorf("%d checks started, want the edited one", n)
		}
		for _, c := range w.cluster.Checks() {
			w.cluster.forget(c.Namespace, c.Name)
		}
		synctest.Wait()
		before = w.started()
		time.Sleep(10 * time.Minute)
		if n := w.started() - before; n != 0 {
			t.Errorf("%d checks started after they were deleted", n)
		}
	})
}

// firstStarted is the number of a check that has started.
func (w *world) firstStarted(t *testing.T) int {
	t.Helper()
	for i, object := range many(200, bubbleStart) {
		c := object.(*khv1.KuberhealthyCheck)
		w.temporal.mu.Lock()
		_, ok := w.temporal.workflows[workflows.ScheduledCheckID(c.Namespace, c.Name)]
		w.temporal.mu.Unlock()
		if ok {
			return i
		}
	}
	t.Fatal("none has started")
	return 0
}

// A start that Temporal refuses, for example before the search attributes are registered, is retried soon.
func TestStartsThatAreRefusedAreNotPutOff(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.temporal.failNext("execute", slices.Repeat([]error{errors.New("search attribute KhCheck is not defined")}, 60)...)
		for _, c := range many(10, bubbleStart, every("10m")) {
			w.cluster.apply(c)
		}
		time.Sleep(90 * time.Second) // tried again after 30 seconds at the latest
		if n := w.started(); n != 10 {
			t.Errorf("%d of 10 started", n)
		}
	})
}

// Starters agree on when a check may start, and a starter that begins later uses the same times.
func TestStarterKeepsTheSpreadThatAnotherBegan(t *testing.T) {
	inWorld(t, many(200, bubbleStart, every("2m")), func(t *testing.T, w *world) {
		time.Sleep(time.Minute)
		before := w.started()
		w.stop()
		w.start(t)
		if n := w.started() - before; n > 20+5 {
			t.Errorf("%d started when the starter started again, want a burst at most", n)
		}
		time.Sleep(time.Minute)
		if n := w.started(); n != 200 {
			t.Errorf("%d of 200 started within their interval", n)
		}
	})
}
