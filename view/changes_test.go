package view_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/view"
)

// named returns what changes say, such as "shop/pay failing" or "shop/pay deleted".
func named(changes []view.Change) (names []string) {
	for _, c := range changes {
		state := "deleted"
		if c.Check != nil {
			state = string(c.Check.State)
		}
		names = append(names, c.Ref.String()+" "+state)
	}
	return names
}

// wantNext fails the test unless these are the next changes.
func wantNext(t *testing.T, w *view.Watcher, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, complete, err := w.Next(ctx)
	if err != nil || !complete || !slices.Equal(named(got), want) {
		t.Errorf("changes %q, complete %t, error %v, want %q", named(got), complete, err, want)
	}
}

func TestEachChangeIsSeenByEachWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{checks: []*khv1.KuberhealthyCheck{newCheck("cart"), newCheck("pay")}}
		c.checks[0].ResourceVersion, c.checks[1].ResourceVersion = "1", "2"
		v := view.New(view.Options{Cluster: c, Now: at(noon)})
		first, complete := v.Watch("")
		defer first.Close()
		if complete {
			t.Error("whoever begins must read a snapshot")
		}
		second, _ := v.Watch("")
		defer second.Close()
		failed := stateOf(khv1.KHCheck, "pay", bad)
		failed.ResourceVersion = "3"
		c.change(func() { c.states = append(c.states, failed) })
		wantNext(t, first, "shop/pay failing")
		at := first.Position()
		once := newJob("once", "")
		once.ResourceVersion = "4"
		c.change(func() { c.checks, c.jobs = c.checks[1:], append(c.jobs, once) })
		wantNext(t, first, "shop/once unknown", "shop/cart deleted")
		wantNext(t, second, "shop/pay failing", "shop/once unknown", "shop/cart deleted") // it was slow

		again, complete := v.Watch(at)
		defer again.Close()
		if !complete {
			t.Error("who comes again with a position must read a snapshot")
		}
		wantNext(t, again, "shop/once unknown", "shop/cart deleted")
		for _, unknown := range []string{"", "x", "x-1", at + "0", "-", at[:len(at)-1] + "-1"} {
			w, complete := v.Watch(unknown)
			if w.Close(); complete {
				t.Errorf("position %q is known", unknown)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if got, _, err := first.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a change: %q, error %v", named(got), err)
		}
	})
}

// What changed while nobody watched is seen by who comes again.
func TestChangesWhileNobodyWatchesAreNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{checks: []*khv1.KuberhealthyCheck{newCheck("pay")}}
		c.checks[0].ResourceVersion = "1"
		looks := 0
		v := view.New(view.Options{Cluster: c, Now: func() time.Time { looks++; return noon }})
		w, _ := v.Watch("")
		at := w.Position()
		w.Close()
		synctest.Wait()
		before := looks
		time.Sleep(time.Hour)
		if looks != before {
			t.Errorf("%d looks although nobody watches", looks-before)
		}
		edited := newCheck("pay", func(c *khv1.KuberhealthyCheck) { c.ResourceVersion, c.Spec.Suspend = "2", true })
		c.change(func() { c.checks[0] = edited })
		w, complete := v.Watch(at)
		defer w.Close()
		if !complete {
			t.Error("a change was lost")
		}
		wantNext(t, w, "shop/pay paused")
	})
}

// A watcher that is too slow learns that it missed something.
func TestASlowWatcherStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{}
		v := view.New(view.Options{Cluster: c, Now: at(noon)})
		w, _ := v.Watch("")
		defer w.Close()
		at := w.Position()
		for round := range 3 {
			var checks []*khv1.KuberhealthyCheck
			for i := range 2000 {
				checks = append(checks, newCheck(fmt.Sprintf("check-%d-%d", round, i)))
			}
			c.change(func() { c.checks = checks })
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}
		if got, complete, err := w.Next(t.Context()); complete || len(got) != 0 || err != nil {
			t.Errorf("%d changes, complete %t, error %v, want none and incomplete", len(got), complete, err)
		}
		c.change(func() { c.checks = c.checks[1:] })
		late, complete := v.Watch(at)
		if late.Close(); complete {
			t.Error("a position that was forgotten is complete")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if got, complete, err := w.Next(ctx); !complete || err != nil || !slices.Contains(named(got), "shop/check-2-0 deleted") {
			t.Errorf("after that: %d changes, complete %t, error %v", len(got), complete, err)
		}
	})
}
