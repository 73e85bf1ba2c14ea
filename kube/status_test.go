package kube_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/apitest"
	"github.com/khronicle/khronicle/kube"
)

var (
	statusOfCart = khv1.CheckStatus{
		ObservedGeneration: 1, Schedule: "every 2m", LastRunTime: &metav1.Time{Time: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)},
		Conditions: []metav1.Condition{{
			Type: khv1.ConditionReady, Status: metav1.ConditionTrue, Reason: check.ReasonScheduled, ObservedGeneration: 1,
			LastTransitionTime: metav1.Time{Time: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)},
		}},
	}
	failing = check.StatusEvent{Warning: true, Reason: check.EventFailing, Action: "Run", Note: "out of stock: 100% sold"}
)

// cached returns the check shop/cart of the cache.
func cached(t *testing.T, cluster *kube.Cluster) *khv1.KuberhealthyCheck {
	t.Helper()
	c, ok := cluster.Check("shop", "cart")
	if !ok {
		t.Fatal("the check is not in the cache")
	}
	return c
}

func write(t *testing.T, cluster *kube.Cluster, read *khv1.KuberhealthyCheck, status khv1.CheckStatus) (written bool) {
	t.Helper()
	written, err := cluster.WriteCheckStatus(t.Context(), read, status)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return written
}

func TestWriteCheckStatusReplacesTheStatusWithOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(khcheck("cart"))
		cluster := synced(t, api, watching)
		api.Requests()
		if !write(t, cluster, cached(t, cluster), statusOfCart) {
			t.Error("it was not written")
		}
		requests := api.Requests().OfOne()
		if len(requests) != 1 || requests[0].Verb != "patch" || requests[0].Resource != "khchecks/status" || requests[0].FieldManager != "khronicle" {
			t.Errorf("requests %+v", requests)
		}
		if diff := cmp.Diff(statusOfCart, cached(t, cluster).Status); diff != "" {
			t.Errorf("status differs (-want +got):\n%s", diff)
		}
		fewer := khv1.CheckStatus{ObservedGeneration: 2}
		if write(t, cluster, cached(t, cluster), fewer); cached(t, cluster).Status.Schedule != "" || len(cached(t, cluster).Status.Conditions) > 0 {
			t.Errorf("status %+v, want no field that was removed", cached(t, cluster).Status)
		}
	})
}

// Of two writers that read the same check, one writes.
func TestWriteCheckStatusOfAnOlderVersionWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(khcheck("cart"))
		cluster := synced(t, api, watching)
		read := cached(t, cluster)
		write(t, cluster, read, statusOfCart)
		if write(t, cluster, read, khv1.CheckStatus{ObservedGeneration: 7}) || cached(t, cluster).Status.ObservedGeneration != 1 {
			t.Errorf("status %+v, want that of the first writer", cached(t, cluster).Status)
		}
		api.Remove(khv1.CheckResource, "shop", "cart")
		if write(t, cluster, read, statusOfCart) {
			t.Error("the status of a deleted check was written")
		}
	})
}

func TestWriteCheckStatusNamesTheCheckInItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(khcheck("cart"))
		cluster := synced(t, api, watching)
		api.Refuse(apierrors.NewForbidden(khv1.GroupVersion.WithResource(khv1.CheckResource).GroupResource(), "cart", nil))
		_, err := cluster.WriteCheckStatus(t.Context(), cached(t, cluster), statusOfCart)
		if err == nil || !apierrors.IsForbidden(err) || text(err)[:len("write the status of khcheck shop/cart: ")] != "write the status of khcheck shop/cart: " {
			t.Errorf("error %v", err)
		}
	})
}

// Clients of Kuberhealthy v2 update whole objects. They neither change nor remove the status.
func TestUpdateOfAWholeCheckLeavesItsStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(khcheck("cart"))
		cluster := synced(t, api, watching)
		write(t, cluster, cached(t, cluster), statusOfCart)
		edited := cached(t, cluster).DeepCopy()
		edited.Spec.Timeout, edited.Status = "3m", khv1.CheckStatus{}
		if _, err := newClient(t, api).Checks("shop").Update(t.Context(), edited, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := cached(t, cluster); got.Spec.Timeout != "3m" || got.Status.Schedule != "every 2m" {
			t.Errorf("got %+v %+v", got.Spec, got.Status)
		}
	})
}

// A program that was written for Kuberhealthy v2 sends no status.
func TestCheckWithoutAStatusIsEncodedWithoutOne(t *testing.T) {
	encoded, err := json.Marshal(khcheck("cart"))
	var fields map[string]any
	if err == nil {
		err = json.Unmarshal(encoded, &fields)
	}
	if _, has := fields["status"]; has || err != nil {
		t.Errorf("got %s %v", encoded, err)
	}
}

func TestChangeOfTheStatusAloneIsNoChangeOfTheCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(khcheck("cart"))
		cluster := connect(t, api, watching)
		calls := 0
		if err := cluster.OnCheckChange(func(string, string) { calls++ }); err != nil {
			t.Fatal(err)
		}
		cluster.Start(t.Context())
		expect := func(what string, want int) {
			t.Helper()
			synctest.Wait()
			if calls != want {
				t.Errorf("%s: %d calls, want %d", what, calls, want)
			}
			calls = 0
		}
		expect("it is there", 1)
		write(t, cluster, cached(t, cluster), statusOfCart)
		expect("its status", 0)
		for what, change := range map[string]func(*khv1.KuberhealthyCheck){
			"its spec":     func(c *khv1.KuberhealthyCheck) { c.Spec.Timeout = "3m" },
			"generation":   func(c *khv1.KuberhealthyCheck) { c.Generation++ },
			"annotation":   func(c *khv1.KuberhealthyCheck) { c.Annotations = map[string]string{"a": "b"} },
			"a new check":  func(c *khv1.KuberhealthyCheck) { c.UID = "uid-of-another" },
			"its deletion": func(c *khv1.KuberhealthyCheck) { c.DeletionTimestamp = &metav1.Time{Time: time.Now()} },
		} {
			c := khcheck("cart")
			api.Put(c)
			synctest.Wait()
			calls = 0
			change(c)
			api.Put(c)
			expect(what, 1)
		}
	})
}

func TestOnStateChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(state("cart", "run-1"))
		cluster := connect(t, api, watching)
		seen := []string{}
		if err := cluster.OnStateChange(func(namespace, name string) { seen = append(seen, namespace+"/"+name) }); err != nil {
			t.Fatal(err)
		}
		cluster.Start(t.Context())
		synctest.Wait()
		api.Put(state("cart", "run-2"))
		synctest.Wait()
		api.Remove(khv1.StateResource, "shop", "cart")
		synctest.Wait()
		if diff := cmp.Diff([]string{"shop/cart", "shop/cart", "shop/cart"}, seen); diff != "" {
			t.Errorf("calls differ (-want +got):\n%s", diff)
		}
	})
}

// An event that repeats is one object with a count, whoever looks at it.
func TestAnnounceRecordsASeries(t *testing.T) {
	api := apitest.New(khcheck("cart"))
	watch := watching
	watch.Events = true
	cluster := connect(t, api, watch)
	cluster.Start(t.Context())
	about := khcheck("cart")
	cluster.Announce(about, failing)
	await := func(verb string) apitest.Request {
		t.Helper()
		for range 500 {
			for _, request := range api.Requests().OfOne() {
				if request.Resource == "events.events.k8s.io" && request.Verb == verb {
					return request
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("no %s of an event", verb)
		return apitest.Request{}
	}
	created := await("create")
	var event eventsv1.Event
	if !api.Object("events.events.k8s.io", "shop", created.Name, &event) {
		t.Fatal("there is no event")
	}
	if event.Type != "Warning" || event.Reason != "CheckFailing" || event.Action != "Run" || event.Note != failing.Note ||
		event.Regarding.Kind != khv1.CheckKind || event.Regarding.Name != "cart" || event.Regarding.UID != about.UID || event.ReportingController != "khronicle" {
		t.Errorf("event %+v", event)
	}
	cluster.Announce(about, failing)
	await("patch")
	if api.Object("events.events.k8s.io", "shop", created.Name, &event); event.Series == nil || event.Series.Count != 2 || api.Count("events.events.k8s.io") != 1 {
		t.Errorf("event %+v, want a series of two", event)
	}
}

func TestAnnounceWithoutEventsRecordsNothing(t *testing.T) {
	api := apitest.New(khcheck("cart"))
	cluster := connect(t, api, watching)
	cluster.Announce(khcheck("cart"), failing)
	if requests := api.Requests(); len(requests) > 0 {
		t.Errorf("requests %+v", requests)
	}
}
