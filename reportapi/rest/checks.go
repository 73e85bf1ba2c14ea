package rest

import (
	"github.com/labstack/echo/v4"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/khronicle/khronicle/api"
	"github.com/khronicle/khronicle/external/apiclient"
	"github.com/khronicle/khronicle/view"
)

// pageSize is the limit of a page if the request has none.
const pageSize = 100

// ListChecks serves GET /api/v1/checks. 200, 304, 400: a parameter is wrong. 503: see the description.
func (a *API) ListChecks(c echo.Context, params apiclient.ListChecksParams) error {
	filter, err := filterOf(params)
	if err != nil {
		return err
	}
	after, err := decodeCursor[*view.Position](params.Cursor)
	if err != nil {
		return err
	}
	snapshot := a.View.Snapshot()
	page := snapshot.Page(filter, after, limitOf(params.Limit))
	list := apiclient.CheckList{Items: make([]apiclient.Check, len(page.Checks)), Total: page.Total, Next: encodeCursor(page.Next)}
	for i, one := range page.Checks {
		list.Items[i] = listed(one, snapshot.Ledger)
	}
	return ok(c, list)
}

func limitOf(limit *int) int {
	if limit == nil {
		return pageSize
	}
	return *limit
}

func listOf[T any](values *[]T) []T {
	if values == nil {
		return nil
	}
	return *values
}

func filterOf(params apiclient.ListChecksParams) (view.Filter, error) {
	filter := view.Filter{Kind: workload(params.Kind), Namespaces: listOf(params.Namespace)}
	for _, state := range listOf(params.State) {
		filter.States = append(filter.States, view.State(state))
	}
	if params.Text != nil {
		filter.Text = *params.Text
	}
	if params.Labels != nil {
		selector, err := labels.Parse(*params.Labels)
		if err != nil {
			return filter, wrong("labels", *params.Labels, `a label selector such as "team=billing,tier!=test"`)
		}
		filter.Labels = selector
	}
	return filter, nil
}

// find returns a check or job and the snapshot that it is from. The error is 404.
func (a *API) find(kind *apiclient.Kind, namespace, name string) (*view.Check, *view.Snapshot, error) {
	snapshot := a.View.Snapshot()
	if found, ok := snapshot.Check(workload(kind), namespace, name); ok {
		return found, snapshot, nil
	}
	what := "check or job"
	if kind != nil {
		what = string(*kind)
	}
	return nil, snapshot, notFound("there is no %s %s in the namespace %s", what, shorten(name), shorten(namespace))
}

// GetCheck serves GET /api/v1/checks/{namespace}/{name}. 200, 304. 404: there is none.
func (a *API) GetCheck(c echo.Context, namespace apiclient.NamespaceOfCheck, name apiclient.NameOfCheck, params apiclient.GetCheckParams) error {
	found, snapshot, err := a.find(params.Kind, namespace, name)
	if err != nil {
		return err
	}
	return ok(c, checkOf(found, snapshot.Ledger))
}

// GetSummary serves GET /api/v1/summary. 200, 304.
func (a *API) GetSummary(c echo.Context, params apiclient.GetSummaryParams) error {
	return ok(c, summaryOf(a.View.Snapshot().Summary(listOf(params.Namespace)...)))
}

// GetDescription serves GET /api/v1/openapi.yaml. 200, 304.
func (a *API) GetDescription(c echo.Context, _ apiclient.GetDescriptionParams) error {
	return okText(c, "application/openapi+yaml", api.OpenAPI)
}
