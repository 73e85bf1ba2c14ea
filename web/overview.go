package web

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/view"
)

const (
	// pageSize is how many checks one page of the overview has.
	pageSize = 50
	// errorBytes is the longest error in the overview.
	errorBytes = 240
	// picturesWithin is how long the overview waits for the ledger. Then it is shown without pictures.
	picturesWithin = 1500 * time.Millisecond
)

// overview is the page of all checks.
type overview struct {
	Counts     []count
	Running    int
	Uptime     string
	Filters    filters
	Namespaces []string
	States     []view.State
	Groups     []group
	Pager      pager
	// NoLedger says why pictures of runs or uptimes are missing, or is empty.
	NoLedger string
	// Legend explains the shapes of the bars.
	Legend []legend
}

// count is how many checks have a state, and the address that shows these alone.
type count struct {
	State   view.State
	Number  int
	Address string
	Chosen  bool
}

// group is a part of the list with a heading: the failing checks, the unknown ones, then each namespace.
type group struct {
	ID, Title string
	Rows      []row
}

// row is one check.
type row struct {
	*view.Check
	// Key identifies the check among all, and Path is its page.
	Key, Path, Kind string
	Error           string
	Further         int
	Uptimes         []uptime
	pictures
}

// overview serves GET / for browsers. 200, 400: a parameter is wrong.
func (p *Pages) overview(r *http.Request) (answered, error) {
	f, chosen, err := filtersOf(r.URL.Query())
	if err != nil {
		return answered{}, err
	}
	s, at := p.View.Snapshot(), rootOf(r)
	list := slices.Collect(s.Matching(chosen))
	slices.SortStableFunc(list, func(a, b *view.Check) int { return rank(a.State) - rank(b.State) })
	shown, pages := cut(list, f.page, pageSize, func(page int) string { return f.address(string(at), page) })
	body := overview{
		Counts: countsOf(s, f, at), Filters: f, Namespaces: namespacesOf(s), States: view.States, Pager: pages, Legend: legends,
		NoLedger: sayLedger(s.Ledger),
	}
	sum := s.Summary(chosen.Namespaces...)
	body.Running, body.Uptime = sum.Running, percent(sum.Uptime)
	rows, complete := p.rows(r.Context(), shown, s, at)
	if !complete && body.NoLedger == "" {
		body.NoLedger = sayLedger(view.LedgerUnavailable)
	}
	body.Groups = groupsOf(rows)
	return answered{template: "overview", Title: "Checks", Live: byStream, At: s.At, Body: body}, nil
}

// rank puts failing checks first, then unknown ones. The others stay in the order of namespaces.
func rank(state view.State) int {
	switch state {
	case view.Failing:
		return 0
	case view.Unknown:
		return 1
	}
	return 2
}

// countsOf counts checks and jobs of the namespaces of a filter.
func countsOf(s *view.Snapshot, f filters, at root) []count {
	sum := s.Summary(words(f.Namespace)...)
	numbers := map[view.State]int{
		view.Healthy: sum.Checks.Healthy + sum.Jobs.Healthy, view.Failing: sum.Checks.Failing + sum.Jobs.Failing,
		view.Unknown: sum.Checks.Unknown + sum.Jobs.Unknown, view.Paused: sum.Checks.Paused + sum.Jobs.Paused,
	}
	all := []count{}
	for _, state := range view.States {
		only := f
		only.State = string(state)
		all = append(all, count{state, numbers[state], only.address(string(at), 1), f.State == string(state)})
	}
	return all
}

func namespacesOf(s *view.Snapshot) []string {
	all := []string{}
	for _, c := range s.Checks { // they are in the order of namespaces
		if n := len(all); n == 0 || all[n-1] != c.Namespace {
			all = append(all, c.Namespace)
		}
	}
	return all
}

func sayLedger(state view.LedgerState) string {
	switch state {
	case view.LedgerNone:
		return "There is no ledger: only the last ten runs of each check are known, and no uptime."
	case view.LedgerUnavailable:
		return "The ledger does not answer: uptime and past runs may be missing or old."
	}
	return ""
}

// rows returns what the overview shows of checks. complete is false if the ledger did not answer in time.
func (p *Pages) rows(ctx context.Context, list []*view.Check, s *view.Snapshot, at root) (rows []row, complete bool) {
	ctx, cancel := context.WithTimeout(ctx, picturesWithin)
	defer cancel()
	made := make([]pictures, len(list))
	if complete = s.Ledger != view.LedgerUnavailable; complete {
		var err error
		if made, err = p.recently(ctx, list, s); err != nil {
			p.Logger.Warn("the ledger cannot be read for the overview", "error", err)
			complete = false
		}
	}
	for i, c := range list {
		one := row{Check: c, pictures: made[i], Key: keyOf(c.Ref), Path: at.check(c.Ref), Kind: kindWord(c.Kind), Uptimes: uptimesOf(c)}
		errors := c.Errors()
		if len(errors) == 0 && c.State == view.Failing && c.Message != "" {
			errors = []string{c.Message}
		}
		if len(errors) > 0 {
			one.Error, one.Further = check.Plain(clean(errors[0]), errorBytes), len(errors)-1
		}
		rows = append(rows, one)
	}
	return rows, complete
}

// keyOf identifies a check on a page. It has no blanks.
func keyOf(ref check.Ref) string { return kindWord(ref.Kind) + "/" + ref.String() }

func groupsOf(rows []row) []group {
	var groups []group
	for _, one := range rows {
		id, title := "namespace/"+one.Namespace, "Namespace "+one.Namespace
		if one.State == view.Failing || one.State == view.Unknown {
			id = "state/" + string(one.State)
			title = strings.ToUpper(string(one.State[:1])) + string(one.State[1:])
		}
		if n := len(groups); n == 0 || groups[n-1].ID != id {
			groups = append(groups, group{ID: id, Title: title})
		}
		last := &groups[len(groups)-1]
		last.Rows = append(last.Rows, one)
	}
	return groups
}
