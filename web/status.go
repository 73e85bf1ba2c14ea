package web

import (
	"net/http"
	"slices"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/view"
)

// statusSize is how many checks one page of the status has.
const statusSize = 200

// publicStatus is the page for the public: names, states and uptime. It has no errors, no runs and no evidence, and no
// filter that searches them.
type publicStatus struct {
	// OK is true when nothing is failing, and no outcome is overdue.
	OK     bool
	Counts []count
	Rows   []publicRow
	Pager  pager
	// NoLedger says why uptimes are missing, or is empty.
	NoLedger string
}

type publicRow struct {
	Key, Name, Kind string
	State           view.State
	Uptimes         []uptime
}

// status serves GET /status, with the parameters namespace and page. 200, 400: page is wrong.
func (p *Pages) status(r *http.Request) (answered, error) {
	query := r.URL.Query()
	namespace, err := parameter(query, "namespace")
	if err != nil {
		return answered{}, err
	}
	number, err := pageOf(query)
	if err != nil {
		return answered{}, err
	}
	s, only, at := p.View.Snapshot(), filters{Namespace: namespace}, rootOf(r)
	list := slices.Collect(s.Matching(view.Filter{Namespaces: words(namespace)}))
	slices.SortStableFunc(list, func(a, b *view.Check) int { return rank(a.State) - rank(b.State) })
	shown, pages := cut(list, number, statusSize, func(page int) string { return only.address(string(at)+"status", page) })
	body := publicStatus{OK: s.Summary(words(namespace)...).OK, Counts: countsOf(s, only, at), Pager: pages, NoLedger: sayLedger(s.Ledger)}
	for _, c := range shown {
		body.Rows = append(body.Rows, publicRow{keyOf(c.Ref), c.String(), kindWord(c.Kind), c.State, uptimesOf(c)})
	}
	return answered{template: "status", Title: "Status", Live: byPolling, Public: true, At: s.At, Body: body}, nil
}

// refOf returns the check or job of a request, and what the cluster knows of it. Nil means that it was deleted, or never was.
func (p *Pages) refOf(r *http.Request, s *view.Snapshot) (check.Ref, *view.Check, error) {
	kind, err := kindOf(r.URL.Query().Get("kind"))
	if err != nil {
		return check.Ref{}, nil, err
	}
	namespace, name := r.PathValue("namespace"), r.PathValue("name")
	if found, ok := s.Check(kind, namespace, name); ok {
		return found.Ref, found, nil
	}
	return check.Ref{Kind: orCheck(kind), Namespace: namespace, Name: name}, nil, nil
}
