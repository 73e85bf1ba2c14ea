package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/view"
)

// root is the address of the first page as another page names it, such as "./" or "../../". All links begin with it, so pages
// work below any path to which a proxy maps them. No header of a proxy has to be believed.
type root string

// rootOf returns the root as the page of a request names it. A browser counts the slashes of the path as they were sent.
func rootOf(r *http.Request) root {
	if depth := strings.Count(r.URL.EscapedPath(), "/") - 1; depth > 0 {
		return root(strings.Repeat("../", depth))
	}
	return "./"
}

// check is the address of the page of a check or job.
func (r root) check(ref check.Ref) string {
	return r.path(ref) + kindQuery(ref.Kind)
}

func (r root) path(ref check.Ref) string {
	return string(r) + "checks/" + url.PathEscape(ref.Namespace) + "/" + url.PathEscape(ref.Name)
}

// run is the address of the page of a run. That of a run that is open, or of a tick without a run, has the ID of the tick.
func (r root) run(run view.Run) string {
	id := run.UUID
	if id == "" {
		id = run.RunID.ID()
	}
	return r.path(run.Ref) + "/runs/" + url.PathEscape(id) + kindQuery(run.Kind)
}
