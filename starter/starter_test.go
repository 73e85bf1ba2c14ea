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
	"go.temporal.io/sdk/client"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/starter"
	"github.com/khronicle/khronicle/workflows"
)

var (
	cartRef  = check.Ref{Kind: khv1.KHCheck, Namespace: "shop", Name: "cart", UID: cartUID, Generation: 1}
	smokeRef = check.Ref{Kind: khv1.KHJob, Namespace: "shop", Name: "smoke", UID: jobUID, Generation: 1}
	first    = firstRun(cartUID, 1)
	second   = firstRun(cartUID, 2)
)

func TestNewCheckRunsAtOnceAndThenByItsSchedule(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.expect(t, atOnce, "start "+first, "start "+cartID)

		run := w.temporal.get(t, first)
		want := client.StartWorkflowOptions{
			ID: first, TaskQueue: "khronicle", WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
			WorkflowExecutionErrorWhenAlreadyStarted: true, StaticSummary: "KHCheck shop/cart (first)",
		}
		compareOptions(t, want, run.StartWorkflowOptions)
		wantInput := workflows.ScheduledCheckInput{Ref: cartRef, Trigger: workflows.TriggerFirst, Timeout: time.Minute}
		if diff := cmp.Diff(wantInput, run.input); diff != "" {
			t.Errorf("input of the first run differs (-want +got):\n%s", diff)
		}

		schedule := w.temporal.get(t, cartID)
		want = client.StartWorkflowOptions{
			ID: cartID, TaskQueue: "khronicle", CronSchedule: "@every 2m0s",
			WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
			WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
			WorkflowExecutionErrorWhenAlreadyStarted: true,
			Memo: map[string]any{
				"khronicleRevision": workflows.Revision{UID: cartUID, Generation: 1},
				"khronicleGrid":     workflows.Grid{Schedule: check.ScheduleSpec{RunInterval: "2m"}, Anchor: time.Now()},
			},
			StaticSummary: "KHCheck shop/cart, @every 2m0s",
		}
		compareOptions(t, want, schedule.StartWorkflowOptions)
		wantInput = workflows.ScheduledCheckInput{
			Ref: cartRef, Trigger: workflows.TriggerSchedule, Timeout: time.Minute, FirstRun: first,
			Schedule: check.ScheduleSpec{RunInterval: "2m"}, Anchor: time.Now(),
		}
		if diff := cmp.Diff(wantInput, schedule.input); diff != "" {
			t.Errorf("input of the schedule differs (-want +got):\n%s", diff)
		}
	})
}

// compareOptions compares how a workflow was started. Each is to be found by its check.
func compareOptions(t *testing.T, want, got client.StartWorkflowOptions) {
	t.Helper()
	attributes := got.TypedSearchAttributes
	if name, _ := attributes.GetKeyword(workflows.SearchAttributeCheck); name != "cart" && name != "smoke" {
		t.Errorf("%s has the search attribute KhCheck %q", got.ID, name)
	}
	if namespace, _ := attributes.GetKeyword(workflows.SearchAttributeNamespace); namespace != "shop" {
		t.Errorf("%s has the search attribute KhNamespace %q", got.ID, namespace)
	}
	got.TypedSearchAttributes = want.TypedSearchAttributes
	ours := cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "TypedSearchAttributes" }, cmp.Ignore())
	private := cmp.FilterPath(func(p cmp.Path) bool {
		field, ok := p.Last().(cmp.StructField)
		return ok && strings.ToLower(field.Name()[:1]) == field.Name()[:1]
	}, cmp.Ignore())
	if diff := cmp.Diff(want, got, ours, private); diff != "" {
		t.Errorf("start of %s differs (-want +got):\n%s", got.ID, diff)
	}
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
		{"time zone", func(s *khv1.CheckConfig) { s.Schedule, s.TimeZone = "0 6 * * *", "Europe/Berlin" }, "CRON_TZ=Europe/Berlin 0 6 * * *"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, []any{cart(func(c *khv1.KuberhealthyCheck) { tt.change(&c.Spec) })}, func(t *testing.T, w *world) {
				w.expect(t, atOnce, "start "+first, "start "+cartID)
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
		w.temporal.did = nil
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
		w.expect(t, atOnce, "start "+first, "start "+cartID)
	})
}

func TestEditedCheck(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first, "start "+cartID)
			w.temporal.complete(first)
			w.cluster.apply(cart(every("5m")))
			w.expect(t, atOnce, "start "+second, "start "+cartID)
			schedule := w.temporal.get(t, cartID)
			if schedule.CronSchedule != "@every 5m0s" || schedule.input.FirstRun != second || schedule.input.Ref.Generation != 2 {
				t.Errorf("schedule %q with input %+v, want those of the second revision", schedule.CronSchedule, schedule.input)
			}
			if want := enumspb.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING; schedule.WorkflowIDConflictPolicy != want {
				t.Errorf("conflict policy %s, want %s: there is no moment without a schedule", schedule.WorkflowIDConflictPolicy, want)
			}
			w.expect(t, time.Hour)
		})
	})
	t.Run("which another starter sees too, and is faster", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first, "start "+cartID)
			w.temporal.complete(first)
			w.temporal.before = func(id string) {
				if id == second {
					w.temporal.replace(t, cartID, workflows.Revision{UID: cartUID, Generation: 2})
				}
			}
			w.cluster.apply(cart(every("5m")))
			w.expect(t, time.Minute, "start "+second)
		})
	})
	t.Run("while Temporal takes long", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first, "start "+cartID)
			w.temporal.complete(first)
			slow := true
			w.temporal.before = func(id string) {
				if slow && id == second {
					slow = false
					time.Sleep(40 * time.Second)
				}
			}
			w.cluster.apply(cart(every("5m")))
			edited := time.Now()
			w.expect(t, time.Minute, "start "+second, "start "+cartID)
			if late := w.temporal.get(t, cartID).input.Anchor.Sub(edited); late < 39*time.Second {
				t.Errorf("the schedule counts from %s after the edit, want from its start 40 s after it", late)
			}
		})
	})
	t.Run("while its first run is in flight", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first, "start "+cartID)
			w.cluster.apply(cart(every("5m")))
			w.expect(t, time.Minute)
			w.temporal.complete(first)
			w.expect(t, time.Second, "start "+second, "start "+cartID)
		})
	})
	t.Run("while a run of its schedule is in flight", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first, "start "+cartID)
			w.temporal.complete(first)
			w.temporal.begin("run-1", cartID)
			w.cluster.apply(cart(every("5m")))
			w.expect(t, time.Minute)
			w.temporal.complete("run-1")
			w.expect(t, time.Second, "start "+second, "start "+cartID)
		})
	})
	t.Run("again and again, while a run is in flight", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first, "start "+cartID)
			for _, interval := range []string{"5m", "6m", "7m"} {
				w.cluster.apply(cart(every(interval)))
				w.expect(t, 10*time.Second)
			}
			w.temporal.complete(first)
			w.expect(t, time.Second, "start "+firstRun(cartUID, 4), "start "+cartID)
			w.expect(t, time.Minute)
		})
	})
}

// Nothing but the check that was edited is touched.
func TestEditTouchesNoOtherCheck(t *testing.T) {
	other := cart(func(c *khv1.KuberhealthyCheck) { c.Name, c.UID = "till", "uid-of-till" })
	inWorld(t, []any{other}, func(t *testing.T, w *world) {
		synctest.Wait()
		w.cluster.apply(cart())
		synctest.Wait()
		w.temporal.complete(first)
		w.temporal.did = nil
		w.cluster.apply(cart(every("5m")))
		w.expect(t, time.Second, "start "+second, "start "+cartID)
	})
}

// A cache that is behind the schedule does not turn the schedule back.
func TestCacheThatIsBehindTheScheduleChangesNothing(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		synctest.Wait()
		w.temporal.complete(first)
		w.cluster.apply(cart(every("5m")))
		synctest.Wait()
		w.temporal.complete(second)
		w.temporal.did = nil
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
		w.temporal.before = func(id string) {
			if id == cartID {
				w.temporal.before = nil
				go w.stop() // ends the context of this very call
				synctest.Wait()
			}
		}
		w.cluster.apply(cart())
		w.expect(t, time.Minute, "start "+first)
		w.temporal.complete(first) // and it may even have ended
		w.start(t)
		w.expect(t, atOnce, "start "+cartID)
	})
}

func TestSuspendedCheck(t *testing.T) {
	t.Run("from the start", func(t *testing.T) {
		inWorld(t, []any{cart(suspended)}, func(t *testing.T, w *world) {
			w.expect(t, time.Hour, "start "+cartID)
			if in := w.temporal.get(t, cartID).input; !in.Paused || in.FirstRun != "" {
				t.Errorf("input is %+v, want it paused and without a first run", in)
			}
			w.cluster.apply(cart())
			w.expect(t, atOnce, "account", "start "+second, "start "+cartID)
			if gap := w.temporal.accounts[0].Ticks; !gap.Paused || !gap.SinceLast {
				t.Errorf("the ticks until then are %+v, want paused ones since the last", gap)
			}
			if w.temporal.get(t, cartID).input.Paused {
				t.Error("the resumed check is paused")
			}
		})
	})
	t.Run("its run in flight goes on", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first, "start "+cartID)
			w.temporal.begin("run-1", cartID)
			w.cluster.apply(cart(suspended))
			w.expect(t, time.Hour, "start "+cartID)
			for _, run := range []string{first, "run-1"} {
				if got := w.temporal.get(t, run).status; got != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
					t.Errorf("%s is %s, want it to go on", run, got)
				}
			}
		})
	})
	t.Run("resumed while a run from before is in flight", func(t *testing.T) {
		for _, run := range []string{first, "run-1"} {
			inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
				w.expect(t, atOnce, "start "+first, "start "+cartID)
				if run != first {
					w.temporal.complete(first)
					w.temporal.begin(run, cartID)
				}
				w.cluster.apply(cart(suspended))
				w.expect(t, time.Minute, "start "+cartID)
				w.cluster.apply(cart(suspended, every("3m")))
				w.expect(t, time.Minute, "start "+cartID)
				w.cluster.apply(cart())
				w.expect(t, time.Minute)
				w.temporal.complete(run)
				w.expect(t, time.Second, "start "+firstRun(cartUID, 4), "start "+cartID)
			})
		}
	})
	t.Run("with a spec that is not valid", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first, "start "+cartID)
			w.cluster.apply(cart(suspended, every("often")))
			w.expect(t, time.Minute, "start "+cartID) // by the interval of the schedule before
			w.expect(t, time.Hour)
		})
	})
	t.Run("deleted while a run from before is in flight", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first, "start "+cartID)
			w.cluster.apply(cart(suspended))
			w.expect(t, time.Minute, "start "+cartID)
			w.cluster.forget("shop", "cart")
			w.expect(t, time.Minute, "cancel "+first, "terminate "+cartID+": the check was deleted")
		})
	})
}

// An account that waits for the ledger is a child of a schedule, but no run: nobody waits for it, and nobody ends it.
func TestAccountThatWaitsIsNoRunInFlight(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.expect(t, atOnce, "start "+first, "start "+cartID)
		w.temporal.complete(first)
		w.temporal.begin("account/KHCheck/shop/cart/schedule/1/0", cartID)
		w.cluster.apply(cart(every("5m")))
		w.expect(t, atOnce, "start "+second, "start "+cartID)
		w.temporal.complete(second)
		w.temporal.begin("account/KHCheck/shop/cart/schedule/2/0", cartID)
		w.cluster.forget("shop", "cart")
		w.expect(t, atOnce, "terminate "+cartID+": the check was deleted")
	})
}

// The ticks that were due between the last one of a schedule and the beginning of the next are accounted for.
func TestTicksBetweenTwoSchedules(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.expect(t, 5*time.Minute, "start "+first, "start "+cartID)
		w.temporal.complete(first)
		anchor := w.temporal.get(t, cartID).input.Anchor
		w.cluster.apply(cart(every("5m")))
		w.expect(t, atOnce, "account", "start "+second, "start "+cartID)
		want := workflows.TicksInput{
			Ref: w.temporal.get(t, cartID).input.Ref, Trigger: workflows.TriggerSchedule, Schedule: check.ScheduleSpec{RunInterval: "2m"},
			Anchor: anchor, After: anchor, Before: w.temporal.get(t, cartID).input.Anchor.Add(1), SinceLast: true,
		}
		if diff := cmp.Diff(want, *w.temporal.accounts[0].Ticks); diff != "" {
			t.Errorf("ticks (-want +got):\n%s", diff)
		}
	})
}

// A schedule does not begin before the ticks of the last one are on their way into the ledger.
func TestGapThatCannotBeAccountedForYet(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.expect(t, 5*time.Minute, "start "+first, "start "+cartID)
		w.temporal.complete(first)
		w.temporal.errors["account"] = []error{errors.New("unavailable"), errors.New("unavailable")}
		w.cluster.apply(cart(every("5m")))
		w.expect(t, atOnce)
		w.expect(t, time.Second, "account", "start "+second, "start "+cartID)
	})
}

func TestDeletedCheck(t *testing.T) {
	const why = ": the check was deleted"
	t.Run("idle", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			synctest.Wait()
			w.temporal.complete(first)
			w.temporal.did = nil
			w.cluster.forget("shop", "cart")
			w.expect(t, time.Hour, "terminate "+cartID+why)
		})
	})
	t.Run("whose last ticks are not accounted for", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first, "start "+cartID)
			w.temporal.begin("run-1", cartID)
			w.expect(t, time.Hour)
			w.temporal.errors["terminate "+cartID] = []error{errors.New("Temporal is gone")}
			w.cluster.forget("shop", "cart")
			w.expect(t, time.Hour, "cancel run-1", "cancel "+first, "account", "cancel run-1", "cancel "+first, "account", "terminate "+cartID+why)
		})
	})
	t.Run("with runs in flight", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first, "start "+cartID)
			w.temporal.begin("run-1", cartID)
			w.cluster.forget("shop", "cart")
			w.expect(t, time.Hour, "cancel run-1", "cancel "+first, "terminate "+cartID+why)
		})
	})
	t.Run("its run ends at that moment", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first, "start "+cartID)
			w.temporal.errors["cancel "+first] = []error{notFound}
			w.cluster.forget("shop", "cart")
			w.expect(t, time.Hour, "terminate "+cartID+why)
		})
	})
	// A schedule that was ended names the runs of its last tick for ever: they must not hold up the new check.
	t.Run("and made anew while its run ends", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first, "start "+cartID)
			w.temporal.complete(first)
			w.temporal.begin("run-1", cartID)
			w.cluster.forget("shop", "cart")
			w.expect(t, atOnce, "cancel run-1", "terminate "+cartID+why)
			w.cluster.apply(cart(anew))
			w.expect(t, time.Minute)
			w.temporal.complete("run-1")
			w.expect(t, time.Second, "start "+firstRun("uid-of-another-cart", 1), "start "+cartID)
			w.expect(t, time.Hour)
		})
	})
	t.Run("and made anew unseen", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			synctest.Wait()
			w.temporal.complete(first)
			w.temporal.did = nil
			w.cluster.apply(cart(anew))
			w.expect(t, atOnce, "start "+firstRun("uid-of-another-cart", 1), "start "+cartID)
		})
	})
	// The ticks of the old one end where the new one was created, and those of the new one, whatever became of it, begin there.
	t.Run("and made anew unseen, an hour ago", func(t *testing.T) {
		for _, change := range []func(*khv1.KuberhealthyCheck){
			func(*khv1.KuberhealthyCheck) {},
			func(c *khv1.KuberhealthyCheck) { c.Spec.RunInterval, c.Spec.Suspend = "often", true },
		} {
			inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
				synctest.Wait()
				w.temporal.complete(first)
				time.Sleep(time.Hour)
				synctest.Wait()
				w.temporal.did = nil
				again := cart(anew, change)
				again.CreationTimestamp = metav1.NewTime(time.Now().Add(-10 * time.Second))
				w.cluster.apply(again)
				want := []string{"account", "start " + firstRun("uid-of-another-cart", 1), "start " + cartID}
				if again.Spec.Suspend {
					want = []string{"account", "terminate " + cartID + ": the check is suspended, and its schedule cannot be read"}
				}
				w.expect(t, atOnce, want...)
			})
		}
	})
	t.Run("says a cache that is behind", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first, "start "+cartID)
			w.cluster.keepLive(cart())
			w.cluster.forget("shop", "cart")
			w.expect(t, time.Minute)
			w.cluster.keepLive(nil)
			w.expect(t, time.Second, "cancel "+first, "terminate "+cartID+why)
		})
	})
	t.Run("and the API server is down", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first, "start "+cartID)
			w.cluster.liveErrors = []error{errDown, errDown}
			w.cluster.forget("shop", "cart")
			w.expect(t, atOnce)
			w.expect(t, time.Minute, "cancel "+first, "terminate "+cartID+why)
		})
	})
}

func TestCheckWhoseSpecIsNotValid(t *testing.T) {
	t.Run("from the start", func(t *testing.T) {
		inWorld(t, []any{cart(every("often"))}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first) // which records what is wrong
			w.temporal.complete(first)
			w.expect(t, time.Hour)
		})
	})
	t.Run("since an edit", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			synctest.Wait()
			w.temporal.did = nil
			w.cluster.apply(cart(every("often")))
			w.expect(t, time.Minute)
			w.temporal.complete(first)
			w.expect(t, time.Second, "start "+second, "start "+cartID) // a schedule that runs nothing
			w.temporal.complete(second)
			w.expect(t, time.Hour)
			w.cluster.apply(cart())
			w.expect(t, time.Second, "account", "start "+firstRun(cartUID, 3), "start "+cartID)
		})
	})
}

func TestJob(t *testing.T) {
	run := workflows.JobRunID(smokeRef)
	tests := []struct {
		name  string
		phase khv1.JobPhase
		want  []string
	}{
		{"new", "", []string{"start " + run}},
		{"completed", khv1.JobCompleted, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, []any{smoke(tt.phase)}, func(t *testing.T, w *world) {
				w.expect(t, time.Hour, tt.want...)
			})
		})
	}
	t.Run("runs", func(t *testing.T) {
		inWorld(t, []any{smoke("")}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+run)
			w.cluster.apply(smoke(khv1.JobRunning))
			w.expect(t, time.Hour)
		})
	})
	t.Run("is Running and its run is lost", func(t *testing.T) {
		inWorld(t, []any{smoke(khv1.JobRunning)}, func(t *testing.T, w *world) {
			w.expect(t, time.Hour, "start "+run+"/lost")
			if since := w.temporal.get(t, run+"/lost").input.LostSince; since == nil {
				t.Error("the workflow would run the job again, want it to record the loss")
			}
		})
	})
	t.Run("is Running and its run goes on though what began it was terminated", func(t *testing.T) {
		inWorld(t, []any{smoke("")}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+run)
			w.temporal.begin("run-uuid", run)
			w.temporal.complete(run)
			w.cluster.apply(smoke(khv1.JobRunning))
			w.expect(t, time.Hour)
			w.temporal.complete("run-uuid")
			w.expect(t, time.Hour, "start "+run+"/lost")
		})
	})
	t.Run("is Running and its run was terminated", func(t *testing.T) {
		inWorld(t, []any{smoke("")}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+run)
			w.temporal.complete(run)
			w.cluster.apply(smoke(khv1.JobRunning)) // the cache is behind
			w.expect(t, 20*time.Second)
			w.expect(t, time.Hour, "start "+run+"/lost")
		})
	})
	t.Run("is started once", func(t *testing.T) {
		inWorld(t, []any{smoke("")}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+run)
			w.temporal.complete(run)
			w.cluster.apply(smoke(""))
			w.expect(t, time.Hour)
		})
	})
	t.Run("how it is started", func(t *testing.T) {
		inWorld(t, []any{smoke("")}, func(t *testing.T, w *world) {
			synctest.Wait()
			got := w.temporal.get(t, run)
			compareOptions(t, client.StartWorkflowOptions{
				ID: run, TaskQueue: "khronicle", WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
				WorkflowExecutionErrorWhenAlreadyStarted: true, StaticSummary: "KHJob shop/smoke (job)",
			}, got.StartWorkflowOptions)
			want := workflows.ScheduledCheckInput{Ref: smokeRef, Trigger: workflows.TriggerJob, Timeout: time.Minute}
			if diff := cmp.Diff(want, got.input); diff != "" {
				t.Errorf("input differs (-want +got):\n%s", diff)
			}
		})
	})
}

// Schedules whose check was deleted while no starter was there to see it.
func TestOrphans(t *testing.T) {
	const why = ": the check was deleted"
	begin := func(w *world) {
		for _, id := range []string{cartID, "khcheck/bank/safe", "khcheck/bank/safe/first/1", "khjob/bank/audit/1", "somebody/elses"} {
			w.temporal.begin(id)
		}
	}
	tests := []struct {
		name       string
		namespaces []string
		want       []string
	}{
		{"of all namespaces", nil, []string{"terminate khcheck/bank/safe" + why, "terminate " + cartID + why}},
		{"of the watched namespaces", []string{"shop"}, []string{"terminate " + cartID + why}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{cluster: newCluster(), temporal: newTemporal()}
				w.cluster.namespaces = tt.namespaces
				begin(w)
				w.start(t)
				synctest.Wait()
				if len(w.temporal.did) == 2 && w.temporal.did[0] > w.temporal.did[1] { // their order does not matter
					w.temporal.did[0], w.temporal.did[1] = w.temporal.did[1], w.temporal.did[0]
				}
				w.expect(t, atOnce, tt.want...)
				w.expect(t, time.Hour)
			})
		})
	}
}

func TestResync(t *testing.T) {
	t.Run("a schedule that was ended by hand begins anew", func(t *testing.T) {
		inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+first, "start "+cartID)
			w.temporal.complete(first)
			w.temporal.complete(cartID)
			w.expect(t, 9*time.Minute)
			w.expect(t, time.Minute, "account", "start "+cartID)
		})
	})
	t.Run("a change that was not told", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			synctest.Wait()
			w.cluster.onCheck, w.cluster.onJob = nil, nil
			w.cluster.apply(smoke(""))
			w.expect(t, 9*time.Minute)
			w.expect(t, time.Minute, "start "+workflows.JobRunID(smokeRef))
			w.cluster.apply(cart())
			w.expect(t, 10*time.Minute, "account", "start "+first, "start "+cartID)
			w.temporal.complete(first)
			w.cluster.forget("shop", "cart")
			w.expect(t, 10*time.Minute, "account", "terminate "+cartID+": the check was deleted")
		})
	})
}

// A schedule of another version has no revision that this one can read.
func TestScheduleWithoutARevisionIsReplaced(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		synctest.Wait()
		w.temporal.begin(cartID)
		w.cluster.apply(cart())
		w.expect(t, time.Hour, "start "+first, "start "+cartID)
	})
}

var (
	errDown  = errors.New("connection refused")
	notFound = serviceerror.NewNotFound("workflow execution already completed")
)

func TestTemporalThatFailsIsAskedAgain(t *testing.T) {
	const deleted = ": the check was deleted"
	tests := []struct {
		name  string
		fails string
		then  func(*world)
		want  []string
	}{
		{"the schedule cannot be read", "describe " + cartID, edit, []string{"start " + second, "start " + cartID}},
		{"a run cannot be read", "describe " + first, edit, []string{"start " + second, "start " + cartID}},
		{"the first run cannot be started", "execute " + second, edit, []string{"start " + second, "start " + cartID}},
		{"the schedule cannot be started", "execute " + cartID, edit, []string{"start " + second, "start " + cartID}},
		{"the schedule cannot be ended", "terminate " + cartID, remove, []string{"terminate " + cartID + deleted}},
		{"the schedule cannot be paused", "execute " + cartID, pause, []string{"start " + cartID}},
		{"the job cannot be started", "execute " + workflows.JobRunID(smokeRef), job, []string{"start " + workflows.JobRunID(smokeRef)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
				w.expect(t, atOnce, "start "+first, "start "+cartID)
				w.temporal.complete(first)
				w.temporal.errors[tt.fails] = []error{errDown, errDown, errDown}
				tt.then(w)
				w.expect(t, time.Minute, tt.want...)
				if left := w.temporal.errors[tt.fails]; len(left) != 0 {
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

// A run that cannot be cancelled does not keep the others, and is not forgotten: its schedule stays until it could be.
func TestRunThatCannotBeCancelled(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.expect(t, atOnce, "start "+first, "start "+cartID)
		w.temporal.begin("run-1", cartID)
		w.temporal.errors["cancel run-1"] = []error{errDown}
		w.cluster.forget("shop", "cart")
		w.expect(t, atOnce, "cancel "+first)
		w.expect(t, time.Second, "cancel run-1", "cancel "+first, "terminate "+cartID+": the check was deleted")
	})
}

func TestListThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{cluster: newCluster(), temporal: newTemporal()}
		w.temporal.begin(cartID)
		w.temporal.errors["list"] = []error{errDown}
		w.start(t)
		w.expect(t, 9*time.Minute)
		w.expect(t, time.Minute, "terminate "+cartID+": the check was deleted")
	})
}

func TestRunThatCannotWatch(t *testing.T) {
	tests := []struct {
		name    string
		cluster *fakeCluster
		want    string
	}{
		{"checks", &fakeCluster{refuse: errDown}, "watch checks: connection refused"},
		{"jobs", &fakeCluster{refuseJobs: errDown}, "watch jobs: connection refused"},
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
