package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/apiclient"
	"github.com/khronicle/khronicle/view"
)

// refOf returns the check or job that is meant. present is false if the cluster does not have it; the ledger may.
func (a *API) refOf(ctx context.Context, kind *apiclient.Kind, namespace, name string) (ref check.Ref, present bool) {
	if found, _, err := a.find(kind, namespace, name); err == nil {
		return found.Ref, true
	}
	ref = check.Ref{Kind: workload(kind), Namespace: namespace, Name: name}
	if kind != nil {
		return ref, false
	}
	ref.Kind = khv1.KHCheck
	if job := (check.Ref{Kind: khv1.KHJob, Namespace: namespace, Name: name}); !a.recorded(ctx, ref) && a.recorded(ctx, job) {
		ref = job
	}
	return ref, false
}

// recorded is true if the ledger has a record of a check or job. Whoever reads its runs notices a ledger that does not answer.
func (a *API) recorded(ctx context.Context, ref check.Ref) bool {
	newest, err := a.View.Runs(ctx, ref, view.RunsQuery{Limit: 1})
	return err == nil && len(newest.Runs) > 0
}

// ListRuns serves GET /api/v1/checks/{namespace}/{name}/runs. 200, 304, 400: a parameter is wrong. 404: there is no such
// check, and the ledger has no record of it. 503: the ledger does not answer.
func (a *API) ListRuns(c echo.Context, namespace apiclient.NamespaceOfCheck, name apiclient.NameOfCheck, params apiclient.ListRunsParams) error {
	query, err := queryOf(params)
	if err != nil {
		return err
	}
	ref, present := a.refOf(c.Request().Context(), params.Kind, namespace, name)
	page, err := a.View.Runs(c.Request().Context(), ref, query)
	if err != nil {
		return a.ofLedger(c, err)
	}
	if !present && len(page.Runs) == 0 {
		if err := a.known(c, ref); err != nil {
			return err
		}
	}
	list := apiclient.RunList{Items: make([]apiclient.Run, len(page.Runs))}
	for i, run := range page.Runs {
		list.Items[i] = runOf(run)
	}
	if page.Next != nil {
		list.Next = encodeCursor(&runCursor{page.Next.ID()})
	}
	return ok(c, list)
}

// known returns 404 if the ledger has no record of a check.
func (a *API) known(c echo.Context, ref check.Ref) error {
	first, err := a.View.Runs(c.Request().Context(), ref, view.RunsQuery{Limit: 1})
	switch {
	case err != nil:
		return a.ofLedger(c, err)
	case len(first.Runs) == 0:
		return notFound("there is no check or job %s in the namespace %s, and no record of one", shorten(ref.Name), shorten(ref.Namespace))
	}
	return nil
}

func queryOf(params apiclient.ListRunsParams) (view.RunsQuery, error) {
	cursor, err := decodeCursor[runCursor](params.Cursor)
	if err != nil {
		return view.RunsQuery{}, err
	}
	query := view.RunsQuery{Since: timeOf(params.Since), Until: timeOf(params.Until), Limit: limitOf(params.Limit)}
	query.WithEvidence = params.Evidence != nil && *params.Evidence
	for _, outcome := range listOf(params.Outcome) {
		if outcome == running {
			query.Outcomes = append(query.Outcomes, check.Unfinished)
			continue
		}
		query.Outcomes = append(query.Outcomes, check.Outcome(outcome))
	}
	query.After, err = cursor.position()
	return query, err
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// GetRun serves GET /api/v1/checks/{namespace}/{name}/runs/{run}. 200, 304. 404: there is no such run, or the run UUID is
// that of an open one. 503: the ledger does not answer.
func (a *API) GetRun(c echo.Context, namespace apiclient.NamespaceOfCheck, name apiclient.NameOfCheck, run apiclient.RunOfCheck, params apiclient.GetRunParams) error {
	ref, _ := a.refOf(c.Request().Context(), params.Kind, namespace, name)
	found, err := a.View.FindRun(c.Request().Context(), ref, run)
	if err != nil {
		return a.ofLedger(c, err)
	}
	return ok(c, runOf(found))
}

// evidenceHidden says why there is no evidence, and where it can be read.
const evidenceHidden = "this report API does not show evidence, because it does not know who reads: " +
	"start it with --show-evidence, or read the ledger with khronicle evidence"

// GetEvidence serves GET /api/v1/checks/{namespace}/{name}/runs/{run}/evidence, with the status codes of GetRun. 403: evidence is not shown.
func (a *API) GetEvidence(c echo.Context, namespace apiclient.NamespaceOfCheck, name apiclient.NameOfCheck, run apiclient.RunOfCheck, params apiclient.GetEvidenceParams) error {
	if a.View.HideEvidence {
		return &problem{status: http.StatusForbidden, detail: evidenceHidden}
	}
	ref, _ := a.refOf(c.Request().Context(), params.Kind, namespace, name)
	found, err := a.View.Evidence(c.Request().Context(), ref, run)
	if err != nil {
		return a.ofLedger(c, err)
	}
	return ok(c, evidenceOf(found))
}
