package starter_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/starter"
	"github.com/khronicle/khronicle/workflows"
)

var (
	cartRef = check.Ref{Kind: khv1.KHCheck, Namespace: "shop", Name: "cart", UID: cartUID, Generation: 1}
	first   = firstRun(cartUID, 1)
	second  = firstRun(cartUID, 2)
	third   = firstRun(cartUID, 3)

	errDown  = errors.New("connection refused")
	notFound = serviceerror.NewNotFound("workflow execution already completed")
)

const (
	changed = "terminate " + cartID + ": the check has changed"
	deleted = "terminate " + cartID + ": the check was deleted"
	ticks   = "record ticks"
	// soon is within the longest time between two looks at a run.
	soon = 6 * time.Second
)

// began expects the first run and the schedule of a new check. It returns the UUID of the run, which is open.
func (w *world) began(t *testing.T) (uuid string) {
	t.Helper()
	w.expect(t, atOnce, "start "+first, "start "+cartID)
	return w.temporal.uuid(t, first)
}

// idle does as began, and ends the first run.
func (w *world) idle(t *testing.T) {
	t.Helper()
	w.temporal.complete(w.began(t))
}

func TestNewCheckRunsAtOnceAndThenByItsSchedule(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		uuid := w.began(t)
		want := workflows.ScheduledCheckInput{Ref: cartRef, Trigger: check.TriggerFirst, Timeout: time.Minute}
		if diff := cmp.Diff(want, w.temporal.get(t, first).scheduled(t)); diff != "" {
			t.Errorf("input of the first run differs (-want +got):\n%s", diff)
		}
		schedule := w.temporal.get(t, cartID)
		if schedule.workflowType != "ScheduledCheck" || schedule.CronSchedule != "@every 2m0s" {
			t.Errorf("schedule is a %s, %q", schedule.workflowType, schedule.CronSchedule)
		}
		want = workflows.ScheduledCheckInput{
			Ref: cartRef, Trigger: check.TriggerSchedule, Timeout: time.Minute, Previous: uuid, First: first,
			Schedule: check.ScheduleSpec{RunInterval: "2m"}, Covered: schedule.started,
		}
		if diff := cmp.Diff(want, schedule.scheduled(t)); diff != "" {
			t.Errorf("input of the schedule differs (-want +got):\n%s", diff)
		}
		revision := map[string]any{"khronicleRevision": workflows.Revision{UID: cartUID, Generation: 1}}
		if diff := cmp.Diff(revision, schedule.Memo); diff != "" {
			t.Errorf("memo of the schedule differs (-want +got):\n%s", diff)
		}
	})
}

func TestScheduleOfACheck(t *testing.T) {
	tests := []struct {
		name   string
		change func(*khv1.CheckConfig)
		want   string
	}{
		{"interval", func(s *khv1.CheckConfig) { s.RunInterval = "90s" }, "@every 1m30s"},
		{"no interval", func(s *khv1.CheckConfig) { s.RunInterval = "" }, "@every 10m0s"},
		{"cron expression", func(s *khv1.CheckConfig) { s.RunInterval, s.Schedule = "", "0 6 * * *" }, "CRON_TZ=UTC 0 6 * * *"},
		{"cron expression goes before the interval", func(s *khv1.CheckConfig) { s.Schedule = "0 6 * * *" }, "CRON_TZ=UTC 0 6 * * *"},
		{"time zone", func(s *khv1.CheckConfig) { s.Schedule, s.TimeZone = "0 6 * * *", "Europe/Berlin" }, "CRON_TZ=UTC 0 4-5 * * *"},
		{"paused", func(s *khv1.CheckConfig) { s.Suspend = true }, "@every 24h"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, []any{cart(func(c *khv1.KuberhealthyCheck) { tt.change(&c.Spec) })}, func(t *testing.T, w *world) {
				synctest.Wait()
				if got := w.temporal.get(t, cartID).CronSchedule; got != tt.want {
					t.Errorf("cron schedule %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestStarterThatStartsAgainFindsNothingToDo(t *testing.T) {
	inWorld(t, []any{cart(), smoke("")}, func(t *testing.T, w *world) {
		synctest.Wait()
		w.stop()
		w.temporal.forget()
		w.start(t)
		w.expect(t, time.Hour)
	})
}

// Any number of starters may run: the workflow IDs are the lock.
func TestStartersSideBySideStartEachWorkflowOnce(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.start(t)
		w.start(t)
		w.cluster.apply(smoke(""))
		w.expect(t, atOnce, "start "+workflows.JobRunID(smokeRef))
		w.cluster.apply(cart())
		w.idle(t)
		w.cluster.apply(cart(every("5m")))
		w.expect(t, time.Minute, changed, "start "+second, "start "+cartID)
	})
}

func TestEditedCheck(t *testing.T) {
	t.Run("without an open run", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.idle(t)
			w.cluster.apply(cart(every("5m")))
			w.expect(t, atOnce, changed, "start "+second, "start "+cartID)
			schedule := w.temporal.get(t, cartID)
			in := schedule.scheduled(t)
			if schedule.CronSchedule != "@every 5m0s" || in.Previous != w.temporal.uuid(t, second) || in.Ref.Generation != 2 {
				t.Errorf("schedule %q with input %+v, want those of the second revision", schedule.CronSchedule, in)
			}
			w.expect(t, time.Hour)
		})
	})
	t.Run("again and again, while a run is open", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			run := w.began(t)
			for _, interval := range []string{"5m", "6m", "7m"} {
				w.cluster.apply(cart(every(interval)))
				w.expect(t, 10*time.Second)
			}
			w.temporal.complete(run)
			w.expect(t, soon, changed, "start "+firstRun(cartUID, 4), "start "+cartID)
			w.expect(t, time.Minute)
		})
	})
}

// No run of a new revision starts while a run of the old revision is open, or is about to start.
func TestEditNeverOverlapsTwoRuns(t *testing.T) {
	begun := []string{changed, "start " + second, "start " + cartID}
	t.Run("its first run is open", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			run := w.began(t)
			w.cluster.apply(cart(every("5m")))
			w.expect(t, time.Minute)
			w.temporal.complete(run)
			w.expect(t, soon, begun...)
		})
	})
	t.Run("no worker has started its first run yet", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			w.temporal.setIdle(true)
			w.cluster.apply(cart())
			run := w.began(t)
			w.cluster.apply(cart(every("5m")))
			w.expect(t, time.Minute)
			w.temporal.setIdle(false)
			w.temporal.putRun(run, cartRef, check.TriggerFirst)
			w.temporal.complete(first)
			w.expect(t, 20*time.Second)
			w.temporal.complete(run)
			w.expect(t, soon, begun...)
		})
	})
	t.Run("a run of its schedule is open", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.idle(t)
			w.expect(t, 2*time.Minute)
			run := w.temporal.tick(t, cartID, false)
			w.cluster.apply(cart(every("5m")))
			w.expect(t, time.Minute)
			w.temporal.complete(run)
			w.expect(t, soon, begun...)
		})
	})
	t.Run("a tick is due in this moment", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.idle(t)
			w.expect(t, 2*time.Minute-50*time.Millisecond)
			w.cluster.apply(cart(every("5m")))
			w.expect(t, time.Second)
			run := w.temporal.tick(t, cartID, false)
			w.expect(t, time.Minute)
			w.temporal.complete(run)
			w.expect(t, soon, begun...)
		})
	})
	t.Run("a tick is due, and no worker is there", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.idle(t)
			w.expect(t, 2*time.Minute)
			w.cluster.apply(cart(every("5m")))
			// The worker may have had the task when the schedule was ended.
			w.expect(t, 6*time.Second, refused, changed)
			w.expect(t, 2*time.Second, ticks, "start "+second, "start "+cartID)
		})
	})
	t.Run("a tick starts its run while the schedule is ended", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.idle(t)
			run := ""
			w.temporal.setBeforeEnd(func(string) {
				if run == "" {
					run = w.temporal.tick(t, cartID, false)
				}
			})
			w.cluster.apply(cart(every("5m")))
			w.expect(t, time.Minute)
			w.temporal.complete(run)
			w.expect(t, soon, begun...)
		})
	})
}

// If the schedule of a revision never began, no schedule names the run of that revision.
func TestRunOfAnUnfinishedStartIsWaitedFor(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.idle(t)
		w.temporal.setBefore(func(id string) {
			if id == cartID {
				w.temporal.setBefore(nil)
				go w.stop() // ends the context of this very call
				synctest.Wait()
			}
		})
		w.cluster.apply(cart(every("5m")))
		w.expect(t, time.Minute, changed, "start "+second)
		w.cluster.apply(cart(every("6m")))
		w.start(t)
		w.expect(t, time.Hour)
		w.temporal.complete(w.temporal.uuid(t, second))
		w.expect(t, soon, ticks, "start "+third, "start "+cartID)
	})
}

// While a check waits for a run, each look is one request, and the looks become less frequent.
func TestWaitingForARunAsksForThatRunAlone(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		run := w.began(t)
		w.cluster.apply(cart(every("5m")))
		w.expect(t, atOnce)
		w.temporal.asked()
		w.expect(t, 30*time.Second)
		asked := w.temporal.asked()
		for _, id := range asked {
			if id != run {
				t.Errorf("described %s, want only the run", id)
			}
		}
		if len(asked) < 5 || len(asked) > 9 {
			t.Errorf("asked %d times in 30 s, want 0.5, 1, 2, 4 and then 5 s between two looks", len(asked))
		}
	})
}

// Only the workflows of the edited check change.
func TestEditTouchesNoOtherCheck(t *testing.T) {
	other := cart(func(c *khv1.KuberhealthyCheck) { c.Name, c.UID = "till", "uid-of-till" })
	inWorld(t, []any{other}, func(t *testing.T, w *world) {
		synctest.Wait()
		w.temporal.forget()
		w.cluster.apply(cart())
		w.idle(t)
		w.cluster.apply(cart(every("5m")))
		w.expect(t, time.Second, changed, "start "+second, "start "+cartID)
	})
}

// A cache that is behind the schedule does not turn the schedule back.
func TestCacheThatIsBehindTheScheduleChangesNothing(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.idle(t)
		w.cluster.apply(cart(every("5m")))
		w.expect(t, atOnce, changed, "start "+second, "start "+cartID)
		w.stop()
		behind := cart()
		behind.Generation = 1
		w.cluster.checks["shop/cart"] = behind
		w.start(t)
		w.expect(t, time.Minute)
	})
}

func TestDeathBetweenTheFirstRunAndTheSchedule(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.temporal.setBefore(func(id string) {
			if id == cartID {
				w.temporal.setBefore(nil)
				go w.stop() // ends the context of this very call
				synctest.Wait()
			}
		})
		w.cluster.apply(cart())
		w.expect(t, time.Minute, "start "+first)
		uuid := w.temporal.uuid(t, first)
		w.start(t)
		w.expect(t, atOnce, "start "+cartID)
		if got := w.temporal.get(t, cartID).scheduled(t).Previous; got != uuid {
			t.Errorf("the schedule begins after run %q, want %q", got, uuid)
		}
	})
}

func TestSuspendedCheck(t *testing.T) {
	t.Run("from the start", func(t *testing.T) {
		inWorld(t, []any{cart(suspended)}, func(t *testing.T, w *world) {
			w.expect(t, time.Hour, "start "+cartID)
			if in := w.temporal.get(t, cartID).scheduled(t); !in.Paused || in.Previous != "" {
				t.Errorf("input is %+v, want it paused and without a run", in)
			}
			w.cluster.apply(cart())
			w.expect(t, atOnce, changed, ticks, "start "+second, "start "+cartID)
			if got := w.temporal.recorded()[0].Spans[0].Outcome; got != check.Paused {
				t.Errorf("the ticks until then were %s, want paused", got)
			}
			if w.temporal.get(t, cartID).scheduled(t).Paused {
				t.Error("the resumed check is paused")
			}
		})
	})
	t.Run("pauses at once, and its run goes on", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			run := w.began(t)
			w.cluster.apply(cart(suspended))
			w.expect(t, time.Minute, changed, "start "+cartID)
			if got := w.temporal.get(t, cartID).scheduled(t).Previous; got != run {
				t.Errorf("the schedule names the run %q, want %q", got, run)
			}
			if !w.temporal.get(t, run).open() {
				t.Error("the run was ended")
			}
		})
	})
	t.Run("while it waits after an edit", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.began(t)
			w.cluster.apply(cart(every("5m")))
			w.expect(t, 20*time.Second)
			w.cluster.apply(cart(suspended))
			w.expect(t, atOnce, changed, "start "+cartID)
		})
	})
	t.Run("resumed while a run from before is open", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			run := w.began(t)
			w.cluster.apply(cart(suspended))
			w.expect(t, 10*time.Second, changed, "start "+cartID)
			w.cluster.apply(cart(suspended, every("3m")))
			w.expect(t, 10*time.Second, changed, "start "+cartID)
			w.cluster.apply(cart())
			w.expect(t, time.Minute)
			w.temporal.complete(run)
			w.expect(t, soon, changed, "start "+firstRun(cartUID, 4), "start "+cartID)
		})
	})
	t.Run("with a spec that is not valid", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.began(t)
			w.cluster.apply(cart(suspended, every("often")))
			w.expect(t, time.Hour, changed, "start "+cartID)
			if got := w.temporal.get(t, cartID).scheduled(t).Schedule.RunInterval; got != "2m" {
				t.Errorf("it is due every %q, want it by the schedule before", got)
			}
		})
	})
	t.Run("with a spec that is not valid, from the start", func(t *testing.T) {
		inWorld(t, []any{cart(suspended, every("often"))}, func(t *testing.T, w *world) {
			w.expect(t, time.Hour)
		})
	})
	t.Run("deleted while a run from before is open", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			run := w.began(t)
			w.cluster.apply(cart(suspended))
			w.expect(t, time.Minute, changed, "start "+cartID)
			w.cluster.forget("shop", "cart")
			w.expect(t, time.Minute, "cancel "+run, deleted)
		})
	})
}

func TestDeletedCheck(t *testing.T) {
	t.Run("without an open run", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.idle(t)
			w.cluster.forget("shop", "cart")
			w.expect(t, time.Hour, deleted)
		})
	})
	t.Run("with an open run", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.idle(t)
			w.expect(t, 2*time.Minute)
			run := w.temporal.tick(t, cartID, false)
			w.cluster.forget("shop", "cart")
			w.expect(t, time.Hour, "cancel "+run, deleted)
		})
	})
	t.Run("before a worker has started its first run", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			w.temporal.setIdle(true)
			w.cluster.apply(cart())
			w.began(t)
			w.cluster.forget("shop", "cart")
			w.expect(t, time.Hour, "cancel "+first, deleted)
		})
	})
	t.Run("when a tick is due in this moment", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.idle(t)
			w.expect(t, 2*time.Minute)
			w.cluster.forget("shop", "cart")
			w.expect(t, time.Second)
			run := w.temporal.tick(t, cartID, false)
			w.expect(t, time.Second, "cancel "+run, deleted)
		})
	})
	t.Run("whose last ticks have no record", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.idle(t)
			w.expect(t, time.Hour+time.Minute)
			w.temporal.failNext("terminate "+cartID, errDown, errDown)
			w.cluster.forget("shop", "cart")
			w.expect(t, time.Minute, ticks, deleted)
			if got := w.temporal.recorded(); len(got) != 1 || got[0].Spans[0].Outcome != check.Missed {
				t.Errorf("recorded %+v, want the missed ticks, once", got)
			}
		})
	})
	t.Run("whose run is open while ticks are due", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			run := w.began(t)
			w.expect(t, 10*time.Minute)
			w.cluster.forget("shop", "cart")
			w.expect(t, time.Minute, "cancel "+run, ticks, deleted)
			if got := w.temporal.recorded(); len(got) != 1 || got[0].Spans[0].Outcome != check.Skipped {
				t.Errorf("recorded %+v, want skipped ticks: they would not have started a run", got)
			}
		})
	})
	t.Run("whose run ends at that moment", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			run := w.began(t)
			w.temporal.failNext("cancel "+run, notFound)
			w.temporal.complete(run)
			w.cluster.forget("shop", "cart")
			w.expect(t, time.Hour, deleted)
		})
	})
	t.Run("says a cache that is behind", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			run := w.began(t)
			w.cluster.keepLive(cart())
			w.cluster.forget("shop", "cart")
			w.expect(t, time.Minute)
			w.cluster.keepLive(nil)
			w.expect(t, time.Second, "cancel "+run, deleted)
		})
	})
	t.Run("and the API server is down", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			run := w.began(t)
			w.cluster.liveErrors = []error{errDown, errDown}
			w.cluster.forget("shop", "cart")
			w.expect(t, atOnce)
			w.expect(t, time.Minute, "cancel "+run, deleted)
		})
	})
}

// A check that was deleted and created again under its name begins when the run of the old one has ended.
func TestRecreatedCheckWaitsForTheRunBefore(t *testing.T) {
	begun := []string{"start " + firstRun("uid-of-another-cart", 1), "start " + cartID}
	t.Run("while the old run ends", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			run := w.began(t)
			w.cluster.forget("shop", "cart")
			w.expect(t, atOnce, "cancel "+run, deleted)
			w.cluster.apply(cart(anew))
			w.expect(t, time.Minute)
			w.temporal.complete(run)
			w.expect(t, soon, begun...)
			w.expect(t, time.Hour)
		})
	})
	t.Run("unseen", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			run := w.began(t)
			w.cluster.apply(cart(anew))
			w.expect(t, time.Minute, "cancel "+run, deleted)
			w.temporal.complete(run)
			w.expect(t, soon, begun...)
		})
	})
	t.Run("unseen, and its ticks begin with it", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.idle(t)
			w.stop()
			w.expect(t, time.Hour)
			w.cluster.apply(cart(anew))
			created := time.Now()
			w.expect(t, time.Hour+time.Minute)
			w.start(t)
			w.expect(t, 5*time.Second, append([]string{ticks, deleted, ticks}, begun...)...)
			if len(w.temporal.recorded()) != 2 {
				t.Fatalf("recorded %+v, want the ticks of the old and of the new check", w.temporal.recorded())
			}
			before, after := w.temporal.recorded()[0], w.temporal.recorded()[1]
			if before.Ref.UID != cartUID || before.Spans[0].Through.After(created) {
				t.Errorf("of the old check %+v is recorded, want its ticks before %s", before, created)
			}
			if after.Ref.UID != "uid-of-another-cart" || !after.SinceNewest {
				t.Errorf("of the new check %+v is recorded, want its ticks since the newest in the ledger", after)
			}
		})
	})
}

func TestInvalidCheckHasOneRunThatRecordsItsFaults(t *testing.T) {
	t.Run("from the start", func(t *testing.T) {
		inWorld(t, []any{cart(every("often"))}, func(t *testing.T, w *world) {
			w.expect(t, time.Hour, "start "+first) // which records what is wrong
		})
	})
	t.Run("since an edit", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			run := w.began(t)
			w.cluster.apply(cart(every("often")))
			w.expect(t, time.Minute)
			w.temporal.complete(run)
			w.expect(t, soon, changed, "start "+second, "start "+cartID)
			if in := w.temporal.get(t, cartID).scheduled(t); !in.Paused || in.Schedule.RunInterval != "2m" {
				t.Errorf("input is %+v, want a schedule that runs nothing, by the last interval", in)
			}
			w.temporal.complete(w.temporal.uuid(t, second))
			w.expect(t, time.Hour)
			w.cluster.apply(cart())
			w.expect(t, time.Second, changed, ticks, "start "+third, "start "+cartID)
		})
	})
}

func TestTemporalThatFailsIsAskedAgain(t *testing.T) {
	tests := []struct {
		name  string
		fails string
		then  func(*world)
		want  []string
	}{
		{"the schedule cannot be described", "describe " + cartID, edit, []string{changed, "start " + second, "start " + cartID}},
		{"the schedule cannot be read", "history " + cartID, edit, []string{changed, "start " + second, "start " + cartID}},
		{"a run cannot be described", "describe RUN", edit, []string{changed, "start " + second, "start " + cartID}},
		{"the schedule cannot be replaced", "terminate " + cartID, edit, []string{changed, "start " + second, "start " + cartID}},
		{"the first run cannot be started", "execute " + second, edit, []string{changed, "start " + second, "start " + cartID}},
		{"the schedule cannot be started", "execute " + cartID, edit, []string{changed, "start " + second, "start " + cartID}},
		{"the schedule cannot be ended", "terminate " + cartID, remove, []string{deleted}},
		{"the schedule cannot be paused", "execute " + cartID, pause, []string{changed, "start " + cartID}},
		{"the job cannot be started", "execute " + workflows.JobRunID(smokeRef), job, []string{"start " + workflows.JobRunID(smokeRef)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
				w.idle(t)
				tt.fails = strings.Replace(tt.fails, "RUN", w.temporal.uuid(t, first), 1)
				w.temporal.failNext(tt.fails, errDown, errDown, errDown)
				tt.then(w)
				w.expect(t, time.Minute, tt.want...)
				if left := w.temporal.prepared(tt.fails); len(left) != 0 {
					t.Errorf("asked %d times, want 4", 3-len(left))
				}
				w.expect(t, time.Hour)
			})
		})
	}
}

func edit(w *world)   { w.cluster.apply(cart(every("5m"))) }
func remove(w *world) { w.cluster.forget("shop", "cart") }
func pause(w *world)  { w.cluster.apply(cart(suspended)) }
func job(w *world)    { w.cluster.apply(smoke("")) }

// A run that cannot be cancelled is not forgotten: its schedule stays until the run is cancelled.
func TestScheduleStaysUntilItsRunIsCancelled(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		run := w.began(t)
		w.temporal.failNext("cancel "+run, errDown)
		w.cluster.forget("shop", "cart")
		w.expect(t, atOnce)
		w.expect(t, time.Second, "cancel "+run, deleted)
	})
}

// A check whose name makes a workflow ID too long for PostgreSQL can never run. It is logged once, and not retried for
// ever.
func TestNameThatIsTooLongIsSaidOnce(t *testing.T) {
	name := strings.Repeat("long", 60)
	long := cart(func(c *khv1.KuberhealthyCheck) { c.Name = name })
	longJob := smoke("")
	longJob.Name = name
	inWorld(t, []any{long, longJob}, func(t *testing.T, w *world) {
		w.expect(t, time.Hour)
		for _, kind := range []string{"KHCheck", "KHJob"} {
			line := "kind=" + kind + " namespace=shop check=" + name + " field=metadata.name"
			if n := strings.Count(w.log.String(), line); n != 1 {
				t.Errorf("%s is named %d times, want once, in\n%s", kind, n, w.log.String())
			}
		}
	})
}

func TestRunFailsWhenItCannotWatch(t *testing.T) {
	tests := []struct {
		name    string
		cluster *fakeCluster
		want    string
	}{
		{"checks", &fakeCluster{refuse: errDown}, "watch checks: connection refused"},
		{"jobs", &fakeCluster{refuseJobs: errDown}, "watch jobs: connection refused"},
		{"states", &fakeCluster{refuseState: errDown}, "watch states: connection refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := starter.Run(t.Context(), starter.Options{Cluster: tt.cluster, Temporal: newTemporal(), Logger: slog.New(slog.DiscardHandler)})
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		err := starter.Run(ctx, starter.Options{Cluster: newCluster(), Temporal: newTemporal(), Logger: slog.New(slog.DiscardHandler)})
		if took := time.Since(began); err != nil || took != time.Hour {
			t.Errorf("ended with %v after %s", err, took)
		}
	})
}

// A schedule of an unknown kind has no revision that can be read.
func TestScheduleWithoutARevisionIsReplaced(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		synctest.Wait()
		w.temporal.begin(cartID, "ScheduledCheck")
		w.cluster.apply(cart())
		w.expect(t, time.Hour, refused, changed, "start "+first, "start "+cartID)
	})
}

// An execution that somebody paused in Temporal has not ended: nothing else may start beside it.
func TestPausedExecutionCountsAsOpen(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		run := w.began(t)
		w.temporal.end(cartID, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED)
		w.expect(t, 5*time.Minute)
		w.temporal.end(run, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED)
		w.cluster.apply(cart(every("5m")))
		w.expect(t, time.Hour)
	})
}
