package view_test

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/labels"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/view"
)

// several is a cluster with checks and jobs of all states.
func several() *cluster {
	c := &cluster{}
	for i := range 40 {
		one := newCheck(fmt.Sprintf("check-%02d", i), func(c *khv1.KuberhealthyCheck) {
			c.Namespace = []string{"shop", "web", "dns"}[i%3]
			c.Labels = map[string]string{"team": []string{"red", "blue"}[i%2]}
			c.Spec.Suspend = i%5 == 4
		})
		c.checks = append(c.checks, one)
		if i%4 != 3 {
			state := stateOf(khv1.KHCheck, one.Name, []check.Outcome{good, bad}[i%4/2])
			state.Namespace = one.Namespace
			c.states = append(c.states, state)
		}
	}
	c.jobs = []*khv1.KuberhealthyJob{newJob("once", ""), newJob("check-00", "")}
	return c
}

func TestFiltersChoose(t *testing.T) {
	s := view.New(view.Options{Cluster: several(), Now: at(noon)}).Snapshot()
	red, err := labels.Parse("team=red")
	must(t, err)
	tests := []struct {
		name   string
		filter view.Filter
		has    func(*view.Check) bool
	}{
		{"all", view.Filter{}, func(*view.Check) bool { return true }},
		{"kind", view.Filter{Kind: khv1.KHJob}, func(c *view.Check) bool { return c.Kind == khv1.KHJob }},
		{"namespaces", view.Filter{Namespaces: []string{"web", "none"}}, func(c *view.Check) bool { return c.Namespace == "web" }},
		{"states", view.Filter{States: []view.State{view.Failing, view.Paused}}, func(c *view.Check) bool { return c.State == view.Failing || c.State == view.Paused }},
		{"labels", view.Filter{Labels: red}, func(c *view.Check) bool { return c.Labels["team"] == "red" }},
		{"name in another case", view.Filter{Text: "WEB/check-1"}, func(c *view.Check) bool { return c.Namespace == "web" && c.Name >= "check-10" && c.Name < "check-20" }},
		{"error", view.Filter{Text: "is failed"}, func(c *view.Check) bool { return len(c.Errors()) > 0 && c.LastRun != nil && !c.LastRun.OK() }},
		{"several", view.Filter{Labels: red, Namespaces: []string{"dns"}}, func(c *view.Check) bool { return c.Labels["team"] == "red" && c.Namespace == "dns" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []*view.Check
			for _, c := range s.Checks {
				if tt.has(c) {
					want = append(want, c)
				}
			}
			if got := slices.Collect(s.Matching(tt.filter)); !slices.Equal(got, want) || len(want) == 0 {
				t.Errorf("chose %d checks, want %d", len(got), len(want))
			}
		})
	}
}

// Pages, one after the other, are all checks in their order.
func TestPagesHaveEachCheckOnce(t *testing.T) {
	c := several()
	for _, filter := range []view.Filter{{}, {States: []view.State{view.Healthy}}, {Text: "check-3"}, {Text: "none"}} {
		for _, limit := range []int{1, 3, 7, 1000} {
			s := view.New(view.Options{Cluster: c, Now: at(noon)}).Snapshot()
			want := slices.Collect(s.Matching(filter))
			var got []string
			var after *view.Position
			for {
				page := s.Page(filter, after, limit)
				if page.Total != len(want) || len(page.Checks) > limit {
					t.Fatalf("a page of %d has %d checks of %d, want %d in all", limit, len(page.Checks), page.Total, len(want))
				}
				for _, c := range page.Checks {
					got = append(got, string(c.Kind)+c.String())
				}
				if after = page.Next; after == nil {
					break
				}
			}
			var names []string
			for _, c := range want {
				names = append(names, string(c.Kind)+c.String())
			}
			if !slices.Equal(got, names) {
				t.Errorf("%+v by %d: %q, want %q", filter, limit, got, names)
			}
		}
	}
}

// The check at the position may have been deleted since.
func TestAPositionNeedNotExist(t *testing.T) {
	s := view.New(view.Options{Cluster: several(), Now: at(noon)}).Snapshot()
	page := s.Page(view.Filter{}, &view.Position{Kind: khv1.KHJob, Namespace: "shop", Name: "check-10"}, 1)
	if len(page.Checks) != 1 || page.Checks[0].String() != "shop/check-12" || page.Next == nil {
		t.Errorf("page is %+v, want shop/check-12 and a next page", page)
	}
	if last := s.Page(view.Filter{}, &view.Position{Namespace: "zoo"}, 10); len(last.Checks) != 0 || last.Next != nil || last.Total != 42 {
		t.Errorf("page after all is %+v", last)
	}
}

func TestSummaryCountsEachCheckOnce(t *testing.T) {
	s := view.New(view.Options{Cluster: several(), Now: at(noon)}).Snapshot()
	sum := s.Summary()
	if sum.Checks.Total() != 40 || sum.Jobs.Total() != 2 || sum.OK || sum.Ledger != view.LedgerNone {
		t.Errorf("summary is %+v, want 40 checks, 2 jobs, not OK, no ledger", sum)
	}
	counted := map[view.State]int{}
	for _, c := range s.Checks {
		if c.Kind == khv1.KHCheck {
			counted[c.State]++
		}
	}
	got := map[view.State]int{view.Healthy: sum.Checks.Healthy, view.Failing: sum.Checks.Failing, view.Unknown: sum.Checks.Unknown, view.Paused: sum.Checks.Paused}
	for _, state := range view.States {
		if got[state] != counted[state] || got[state] == 0 {
			t.Errorf("%d checks are %s, want %d", got[state], state, counted[state])
		}
	}
	if one := s.Summary("web"); one.Checks.Total() != 13 || one.Jobs.Total() != 0 {
		t.Errorf("summary of a namespace is %+v, want 13 checks", one)
	}
	if none := s.Summary("none"); !none.OK || none.Checks.Total() != 0 {
		t.Errorf("summary of no check is %+v, want OK", none)
	}
}
