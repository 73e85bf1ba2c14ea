package rest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/api"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/apiclient"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/reportapi/rest"
	"github.com/khronicle/khronicle/view"
)

// read decodes an answer with status 200.
func read[T any](t *testing.T, got answer) (value T) {
	t.Helper()
	if got.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	must(t, json.Unmarshal(got.body, &value))
	return value
}

// problem decodes an answer that is a problem.
func problem(t *testing.T, got answer) (p apiclient.Problem) {
	t.Helper()
	if kind := got.Header.Get("Content-Type"); kind != "application/problem+json" {
		t.Fatalf("%d with the type %s, want a problem: %s", got.StatusCode, kind, got.body)
	}
	must(t, json.Unmarshal(got.body, &p))
	if p.Status != got.StatusCode || p.Title != http.StatusText(p.Status) || p.Type != "about:blank" {
		t.Errorf("problem of %d is %+v", got.StatusCode, p)
	}
	return p
}

func TestChecksAreListed(t *testing.T) {
	l, _ := filled(t)
	handler := serving(t, shop(), l)
	tests := []struct {
		query string
		want  string // names, or "kind:name" of jobs
	}{
		{"", "asleep broken cart lost new nightly job:once pay job:pay"},
		{"kind=job", "job:once job:pay"},
		{"kind=check&state=failing", "broken pay"},
		{"state=paused&state=failing", "asleep broken job:once pay"},
		{"state=unknown&state=healthy", "cart lost new nightly job:pay"},
		{"labels=team%3Dbilling", "pay"},
		{"labels=%21team&text=a", "asleep broken cart job:once job:pay"},
		{"text=CARD+refused", "broken job:once pay"},
		{"text=spec.timeout", "broken"},
		{"namespace=none", ""},
		{"namespace=none&namespace=shop&kind=job", "job:once job:pay"},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			list := read[apiclient.CheckList](t, ask(t, handler, "/checks", nil, tt.query))
			var names []string
			for _, c := range list.Items {
				name := c.Name
				if c.Kind == apiclient.KindJob {
					name = "job:" + name
				}
				names = append(names, name)
			}
			if got := strings.Join(names, " "); got != tt.want || list.Total != len(names) || list.Next != nil {
				t.Errorf("%d checks: %q, want %q", list.Total, got, tt.want)
			}
		})
	}
}

func TestACheckIsShownWithItsPast(t *testing.T) {
	l, _ := filled(t)
	handler := serving(t, shop(), l)
	got := read[apiclient.Check](t, ask(t, handler, "/checks/{namespace}/{name}", named("pay"), ""))
	if got.Kind != apiclient.KindCheck || got.State != apiclient.StateFailing || got.Reason != apiclient.ReasonTimedOut || len(got.Errors) != 6 {
		t.Errorf("check is %+v", got)
	}
	if got.Uptime == nil || got.Uptime.Day.Known != 5 || got.Uptime.Day.Succeeded != 3 || *got.Uptime.Day.Share != 0.6 || *got.RunningRuns != 1 {
		t.Errorf("uptime is %+v", got.Uptime)
	}
	if got.Durations == nil || got.Durations.MedianSeconds != 2 || got.Durations.Runs != 7 {
		t.Errorf("durations are %+v", got.Durations)
	}
	if *got.Schedule != "1m" || *got.IntervalSeconds != 60 || got.TimeoutSeconds != 30 || got.NextRunAt == nil || !got.NextRunAt.After(noon) {
		t.Errorf("schedule %s, next run %v", *got.Schedule, got.NextRunAt)
	}
	job := read[apiclient.Check](t, ask(t, handler, "/checks/{namespace}/{name}", named("pay"), "kind=job"))
	if job.Kind != apiclient.KindJob || job.State != apiclient.StateUnknown || job.Schedule != nil {
		t.Errorf("job is %+v", job)
	}
	inList := read[apiclient.CheckList](t, ask(t, handler, "/checks", nil, "text=shop/pay&kind=check")).Items[0]
	if len(inList.Errors) != 5 || len(inList.Errors[2]) > 1024 {
		t.Errorf("the list has %d errors, the third of %d bytes", len(inList.Errors), len(inList.Errors[2]))
	}
	for _, c := range read[apiclient.CheckList](t, ask(t, serving(t, shop(), nil), "/checks", nil, "")).Items {
		if c.Uptime != nil || c.RunningRuns != nil {
			t.Errorf("without a ledger, %s has an uptime", c.Name)
		}
	}
}

// All pages together have each item once, in one order.
func TestPagesAreComplete(t *testing.T) {
	l, _ := filled(t)
	server := httptest.NewServer(serving(t, shop(), l))
	defer server.Close()
	client, err := apiclient.NewClient(server.URL + rest.Base)
	must(t, err)
	for _, limit := range []int{1, 2, 4, 500} {
		var names, ids []string
		for c, err := range client.Checks(t.Context(), apiclient.ListChecksParams{Limit: &limit}) {
			must(t, err)
			names = append(names, string(c.Kind)+c.Name)
		}
		for r, err := range client.Runs(t.Context(), "shop", "pay", apiclient.ListRunsParams{Limit: &limit}) {
			must(t, err)
			ids = append(ids, r.ID)
		}
		if len(names) != 9 || len(ids) != 9 || !slices.IsSortedFunc(ids, func(a, b string) int { return strings.Compare(b, a) }) {
			t.Errorf("pages of %d: checks %q, runs %q, want 9 of each, the newest run first", limit, names, ids)
		}
	}
}

func TestRunsAreChosen(t *testing.T) {
	l, _ := filled(t)
	handler := serving(t, shop(), l)
	runs := func(name, query string) (outcomes []apiclient.Outcome) {
		for _, r := range read[apiclient.RunList](t, ask(t, handler, "/checks/{namespace}/{name}/runs", named(name), query)).Items {
			outcomes = append(outcomes, r.Outcome)
		}
		return outcomes
	}
	for query, want := range map[string][]apiclient.Outcome{
		"limit=3":                             {"running", "missed", "succeeded"},
		"outcome=running":                     {"running"},
		"outcome=failed&outcome=infra-failed": {"infra-failed", "failed"},
		"since=2026-11-22T11:52:00Z&until=2026-11-22T12:54:00%2B01:00": {"infra-failed", "failed"},
		"since=2027-01-01T00:00:00Z":                                   nil,
	} {
		if got := runs("pay", query); !slices.Equal(got, want) {
			t.Errorf("%s: outcomes %q, want %q", query, got, want)
		}
	}
	if got := runs("former", ""); len(got) != 8 {
		t.Errorf("of a deleted check: %q, want its 8 records", got)
	}
	if got := runs("lost", ""); len(got) != 0 {
		t.Errorf("of a check without records: %q", got)
	}
}

func TestARunAndItsEvidenceAreShown(t *testing.T) {
	l, open := filled(t)
	handler := serving(t, shop(), l)
	listed := read[apiclient.RunList](t, ask(t, handler, "/checks/{namespace}/{name}/runs", named("pay"), "outcome=failed")).Items[0]
	path := named("pay")
	for _, id := range []string{listed.ID, *listed.UUID, strings.ToUpper(*listed.UUID)} {
		path["run"] = id
		got := read[apiclient.Run](t, ask(t, handler, "/checks/{namespace}/{name}/runs/{run}", path, ""))
		if diff := cmp.Diff(listed, got); diff != "" {
			t.Errorf("run %s (-listed +shown):\n%s", id, diff)
		}
	}
	e := read[apiclient.Evidence](t, ask(t, handler, "/checks/{namespace}/{name}/runs/{run}/evidence", path, "kind=check"))
	if len(e.Pieces) != 4 || len(e.Containers) != 2 || *e.Containers[0].ExitCode != 3 || e.Containers[1].ExitCode != nil {
		t.Errorf("evidence is %+v", e)
	}
	if log := e.Pieces[1]; log.Kind != "log" || *log.Container != "main" || *log.Attempt != 1 || !log.Cut || log.Size != 100_000 || !strings.HasPrefix(log.Content, "<script>") {
		t.Errorf("log is %+v", log)
	}
	for _, id := range append(open, "schedule-1", "nothing", "схема") {
		path["run"] = id
		for _, operation := range []string{"/checks/{namespace}/{name}/runs/{run}", "/checks/{namespace}/{name}/runs/{run}/evidence"} {
			if got := ask(t, handler, operation, path, ""); got.StatusCode != http.StatusNotFound {
				t.Errorf("run %s: %d %s, want 404", id, got.StatusCode, got.body)
			}
		}
	}
}

func TestRunsWithEvidenceAreListed(t *testing.T) {
	l, _ := filled(t)
	const operation = "/checks/{namespace}/{name}/runs"
	outcomes := func(records view.Ledger, name, query string) (all []string) {
		for _, run := range read[apiclient.RunList](t, ask(t, serving(t, shop(), records), operation, named(name), query)).Items {
			all = append(all, string(run.Outcome))
		}
		return all
	}
	for query, want := range map[string][]string{
		"evidence=true": {"running", "failed"}, "evidence=true&outcome=failed": {"failed"}, "evidence=true&outcome=succeeded": nil,
	} {
		if got := outcomes(l, "pay", query); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if all, same := outcomes(l, "pay", ""), outcomes(l, "pay", "evidence=false"); !slices.Equal(all, same) {
		t.Errorf("with evidence=false: %q, without: %q", same, all)
	}
	if got := outcomes(nil, "pay", "evidence=true"); len(got) != 0 {
		t.Errorf("without a ledger: %q", got)
	}
}

// Nobody says of which kind a deleted check was.
func TestRunsOfADeletedJobAreFoundByItsName(t *testing.T) {
	l, _ := filled(t)
	done := record("done", noon, check.Failed)
	done.Kind, done.Trigger = khv1.KHJob, check.TriggerJob
	must(t, l.Finish(t.Context(), done))
	handler := serving(t, shop(), l)
	list := read[apiclient.RunList](t, ask(t, handler, "/checks/{namespace}/{name}/runs", named("done"), ""))
	if len(list.Items) != 1 || list.Items[0].Kind != apiclient.KindJob {
		t.Fatalf("runs are %+v", list.Items)
	}
	path := named("done")
	path["run"] = list.Items[0].ID
	if e := read[apiclient.Evidence](t, ask(t, handler, "/checks/{namespace}/{name}/runs/{run}/evidence", path, "")); e.Run.Kind != apiclient.KindJob {
		t.Errorf("evidence is of %+v", e.Run)
	}
	if got := ask(t, handler, "/checks/{namespace}/{name}/runs", named("done"), "kind=check"); got.StatusCode != http.StatusNotFound {
		t.Errorf("as a check: %d", got.StatusCode)
	}
}

// With the run UUID of an open run anyone could report.
func TestNoAnswerHasTheUUIDOfAnOpenRun(t *testing.T) {
	l, open := filled(t)
	handler := serving(t, shop(), l)
	runs := read[apiclient.RunList](t, ask(t, handler, "/checks/{namespace}/{name}/runs", named("pay"), "outcome=running"))
	path := named("pay")
	path["run"] = runs.Items[0].ID
	bodies := 0
	for _, operation := range operations(t) {
		if operation == "/changes" {
			continue // stream_test.go
		}
		got := ask(t, handler, operation, path, "")
		if got.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", operation, got.StatusCode, got.body)
		}
		for _, secret := range open {
			if bytes.Contains(got.body, []byte(secret)) {
				t.Errorf("%s shows the UUID of an open run: %s", operation, got.body)
			}
		}
		bodies++
	}
	if bodies < 8 {
		t.Errorf("%d operations were asked", bodies)
	}
}

func TestWrongParametersAreNamed(t *testing.T) {
	l, _ := filled(t)
	handler := serving(t, shop(), l)
	const checks, runs, badge = "/checks", "/checks/{namespace}/{name}/runs", "/checks/{namespace}/{name}/badge"
	cursor := *read[apiclient.CheckList](t, ask(t, handler, checks, nil, "limit=1")).Next
	tests := []struct{ operation, query, parameter, detail string }{
		{checks, "limit=abc", "limit", `limit: "abc" is not a whole number from 1 to 500`},
		{checks, "limit=0", "limit", `limit: "0" is not a whole number from 1 to 500`},
		{checks, "limit=501", "limit", `limit: "501" is not a whole number from 1 to 500`},
		{checks, "limit=99999999999999999999", "limit", `limit: "99999999999999999999" is not a whole number from 1 to 500`},
		{checks, "limit=1&limit=2", "limit", "limit: there are 2, and there may be one"},
		{checks, "state=fine", "state", `state: "fine" is not healthy, failing, unknown or paused`},
		{checks, "kind=KHCheck", "kind", `kind: "KHCheck" is not check or job`},
		{checks, "stat=failing", "stat", `the operation has no parameter "stat": it has kind, namespace, state, labels, text, limit or cursor`},
		{checks, "labels=a%3D%3D%3Db", "labels", `labels: "a===b" is not a label selector such as "team=billing,tier!=test"`},
		{checks, "text=" + strings.Repeat("x", 257), "text", `text: "` + strings.Repeat("x", 64) + `"… is not a text of 0 to 256 characters in UTF-8`},
		{checks, "text=%ff", "text", `text: "\xff" is not a text of 0 to 256 characters in UTF-8`},
		{checks, "namespace=", "namespace", `namespace: "" is not a text of 1 to 63 characters in UTF-8`},
		{checks, "cursor=abc", "cursor", `cursor: "abc" is not the cursor of another page of this operation`},
		{checks, "cursor=", "cursor", `cursor: "" is not a text of 1 to 1024 characters in UTF-8`},
		{checks, "a=%zz", "", "the query cannot be read: its parameters are NAME=VALUE, with & between them"},
		{runs, "since=yesterday", "since", `since: "yesterday" is not a time such as 2026-11-22T12:00:00Z`},
		{runs, "until=2026-11-22", "until", `until: "2026-11-22" is not a time such as 2026-11-22T12:00:00Z`},
		{runs, "outcome=ok", "outcome", `outcome: "ok" is not running, succeeded, failed, timed-out, infra-failed, canceled, skipped, missed or paused`},
		{runs, "evidence=yes", "evidence", `evidence: "yes" is not true or false`},
		{runs, "cursor=" + cursor, "cursor", `cursor: "` + cursor[:min(64, len(cursor))]},
		{badge, "show=uptime", "show", `show: "uptime" is not state, uptime-24h, uptime-7d or uptime-30d`},
		{"/openapi.yaml", "x=1", "x", `the operation has no parameter "x"`},
	}
	for _, tt := range tests {
		t.Run(tt.query[:min(len(tt.query), 40)], func(t *testing.T) {
			got := problem(t, ask(t, handler, tt.operation, named("pay"), tt.query))
			parameter := ""
			if got.Parameter != nil {
				parameter = *got.Parameter
			}
			if got.Status != http.StatusBadRequest || parameter != tt.parameter || !strings.HasPrefix(got.Detail, tt.detail) {
				t.Errorf("%d, parameter %q: %s\nwant 400, %q: %s", got.Status, parameter, got.Detail, tt.parameter, tt.detail)
			}
		})
	}
}

func TestWhatIsNotThereIsNamed(t *testing.T) {
	l, _ := filled(t)
	handler := serving(t, shop(), l)
	path := named("none")
	path["run"] = "schedule-1"
	for operation, want := range map[string]string{
		"/checks/{namespace}/{name}":                     `there is no check or job "none" in the namespace "shop"`,
		"/checks/{namespace}/{name}/badge":               `there is no check or job "none" in the namespace "shop"`,
		"/checks/{namespace}/{name}/runs":                `there is no check or job "none" in the namespace "shop", and no record of one`,
		"/checks/{namespace}/{name}/runs/{run}":          `there is no run "schedule-1" of "shop"/"none": see the list of its runs`,
		"/checks/{namespace}/{name}/runs/{run}/evidence": `there is no run "schedule-1" of "shop"/"none": see the list of its runs`,
	} {
		if got := problem(t, ask(t, handler, operation, path, "")); got.Status != http.StatusNotFound || got.Detail != want {
			t.Errorf("%s: %d %s, want 404 %s", operation, got.Status, got.Detail, want)
		}
	}
	if got := problem(t, ask(t, handler, "/checks/{namespace}/{name}", named("cart"), "kind=job")); got.Detail != `there is no job "cart" in the namespace "shop"` {
		t.Errorf("of another kind: %s", got.Detail)
	}
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/api/v1/nothing", http.StatusNotFound},
		{http.MethodGet, "/api/v1/", http.StatusNotFound},
		{http.MethodPost, "/api/v1/checks", http.StatusMethodNotAllowed},
		{http.MethodDelete, "/api/v1/checks/shop/pay", http.StatusMethodNotAllowed},
	} {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, nil))
		if got := problem(t, answer{recorder.Result(), recorder.Body.Bytes()}); got.Status != tt.status {
			t.Errorf("%s %s: %d %s, want %d", tt.method, tt.path, got.Status, got.Detail, tt.status)
		}
	}
}

// A reader who may be anyone gets runs and errors, as in Kuberhealthy, and nothing of the evidence.
func TestEvidenceIsHiddenFromAnyone(t *testing.T) {
	l, _ := filled(t)
	handler := serving(t, shop(), l, func(o *rest.Options) {
		o.View = shownBy(view.Options{Cluster: shop(), Ledger: l, HideEvidence: true})
	})
	path := named("pay")
	path["run"] = fmt.Sprintf("schedule-%d", noon.Add(-8*time.Minute).UnixMicro())
	for _, operation := range operations(t) {
		if operation == "/changes" {
			continue
		}
		got := ask(t, handler, operation, path, "")
		for _, part := range []string{"attempt 1\"", "exitCode", `{\"OK\":false}`} {
			if operation != "/openapi.yaml" && bytes.Contains(got.body, []byte(part)) {
				t.Errorf("%s has evidence, %s: %s", operation, part, got.body)
			}
		}
		want := http.StatusOK
		if strings.HasSuffix(operation, "/evidence") {
			want = http.StatusForbidden
		}
		if got.StatusCode != want {
			t.Errorf("%s: %d, want %d", operation, got.StatusCode, want)
		}
	}
	refused := problem(t, ask(t, handler, "/checks/{namespace}/{name}/runs/{run}/evidence", path, ""))
	if !strings.Contains(refused.Detail, "--show-evidence") {
		t.Errorf("the problem is %q, want what would be right", refused.Detail)
	}
	if run := read[apiclient.Run](t, ask(t, handler, "/checks/{namespace}/{name}/runs/{run}", path, "")); len(run.Errors) == 0 {
		t.Errorf("the run has no errors: %+v", run)
	}
}

// Who resumes a check without the command line leaves the annotations of the pause there.
func TestWhoPausedACheckIsShownWhileItIsPaused(t *testing.T) {
	for _, paused := range []bool{true, false} {
		c := &cluster{checks: []*khv1.KuberhealthyCheck{newCheck("cart", func(c *khv1.KuberhealthyCheck) {
			c.Spec.Suspend = paused
			c.Annotations = map[string]string{"khronicle.github.io/paused-by": "anna", "khronicle.github.io/pause-reason": "the shop moves"}
		})}, states: []*khv1.KuberhealthyState{stateOf(khv1.KHCheck, "cart", check.Succeeded)}}
		got := ask(t, serving(t, c, nil), "/checks/{namespace}/{name}", named("cart"), "")
		if said := bytes.Contains(got.body, []byte("paused by anna: the shop moves")); said != paused || bytes.Contains(got.body, []byte("anna")) != paused {
			t.Errorf("paused %t: the answer is %s", paused, got.body)
		}
	}
}

func TestAnAnswerThatTheClientHasIsNotSentAgain(t *testing.T) {
	l, _ := filled(t)
	c := shop()
	handler := serving(t, c, l)
	path := named("pay")
	path["run"] = read[apiclient.RunList](t, ask(t, handler, "/checks/{namespace}/{name}/runs", path, "")).Items[3].ID
	for _, operation := range operations(t) {
		if operation == "/changes" {
			continue
		}
		etag := ask(t, handler, operation, path, "").Header.Get("ETag")
		for _, known := range []string{etag, `"other", ` + etag, "*", strings.TrimPrefix(etag, "W/")} {
			got := ask(t, handler, operation, path, "", "If-None-Match", known, "Accept-Encoding", "gzip")
			if got.StatusCode != http.StatusNotModified || got.Header.Get("ETag") != etag || got.Header.Get("Content-Encoding") != "" {
				t.Errorf("%s with %s: %d, ETag %s", operation, known, got.StatusCode, got.Header.Get("ETag"))
			}
		}
		if got := ask(t, handler, operation, path, "", "If-None-Match", `W/"other"`); got.StatusCode != http.StatusOK {
			t.Errorf("%s with another ETag: %d", operation, got.StatusCode)
		}
	}
	etag := ask(t, handler, "/checks", nil, "").Header.Get("ETag")
	c.add(newCheck("cart"))
	c.states = slices.Delete(c.states, 0, 1)
	if got := ask(t, handler, "/checks", nil, "", "If-None-Match", etag); got.StatusCode != http.StatusOK {
		t.Errorf("after a change: %d, want 200", got.StatusCode)
	}
}

func TestLargeAnswersAreCompressed(t *testing.T) {
	handler := serving(t, shop(), nil)
	plain := ask(t, handler, "/checks", nil, "")
	for accepted, want := range map[string]string{
		"gzip": "gzip", "br, GZIP;q=0.5": "gzip", "gzip;q=0": "", "gzip; q=0.0": "", "deflate": "", "": "", "gzip;q=1": "gzip",
	} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/checks", nil)
		request.Header.Set("Accept-Encoding", accepted)
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		body := recorder.Body.Bytes()
		if got := recorder.Header().Get("Content-Encoding"); got != want {
			t.Errorf("%q: encoding %q, want %q", accepted, got, want)
			continue
		}
		if want == "gzip" {
			packed, err := gzip.NewReader(recorder.Body)
			must(t, err)
			body, err = io.ReadAll(packed)
			must(t, err)
		}
		if !bytes.Equal(body, plain.body) || recorder.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: another body, or Vary is %q", accepted, recorder.Header().Get("Vary"))
		}
	}
	if small := ask(t, handler, "/summary", nil, "", "Accept-Encoding", "gzip"); small.Header.Get("Content-Encoding") != "" {
		t.Error("a small answer is compressed")
	}
}

func TestSummaryAndDescription(t *testing.T) {
	l, _ := filled(t)
	sum := read[apiclient.Summary](t, ask(t, serving(t, shop(), l), "/summary", nil, ""))
	if sum.Ok || sum.Checks != (apiclient.Counts{Total: 7, Healthy: 2, Failing: 2, Unknown: 2, Paused: 1}) || sum.Jobs.Total != 2 || *sum.RunningRuns != 2 || sum.Ledger != apiclient.LedgerStateAvailable {
		t.Errorf("summary is %+v", sum)
	}
	none := read[apiclient.Summary](t, ask(t, serving(t, shop(), nil), "/summary", nil, "namespace=none"))
	if !none.Ok || none.Checks.Total != 0 || none.RunningRuns != nil || none.Uptime != nil || none.Ledger != apiclient.LedgerStateNone {
		t.Errorf("summary of nothing is %+v", none)
	}
	if got := ask(t, serving(t, shop(), nil), "/openapi.yaml", nil, ""); !bytes.Equal(got.body, api.OpenAPI) {
		t.Error("the description is another one")
	}
}

func TestBadgesAreSVG(t *testing.T) {
	l, _ := filled(t)
	handler := serving(t, shop(), l)
	for query, want := range map[string]string{
		"": "shop/pay: failing", "show=state&kind=job": "shop/pay: unknown", "show=uptime-24h": "shop/pay 24 h: 60 %",
		"show=uptime-7d": "shop/pay 7 d: 60 %", "show=uptime-30d": "shop/pay 30 d: 60 %", "show=uptime-30d&kind=job": "shop/pay 30 d: no runs",
	} {
		got := ask(t, handler, "/checks/{namespace}/{name}/badge", named("pay"), query)
		var picture struct {
			XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
			Title   string   `xml:"title"`
		}
		if err := xml.Unmarshal(got.body, &picture); err != nil || picture.Title != want {
			t.Errorf("%s: title %q, error %v, want %q", query, picture.Title, err, want)
		}
	}
}

func TestHeadIsAnsweredAsGet(t *testing.T) {
	server := httptest.NewServer(serving(t, shop(), nil))
	defer server.Close()
	for path, status := range map[string]int{"/checks": 200, "/checks/shop/pay": 200, "/checks/shop/none": 404, "/checks?limit=x": 400, "/changes": 200} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, server.URL+rest.Base+path, nil)
		must(t, err)
		response, err := server.Client().Do(request)
		must(t, err)
		discard(response.Body)
		if response.StatusCode != status {
			t.Errorf("%s: %d, want %d", path, response.StatusCode, status)
		}
	}
}

func TestNothingIsShownBeforeTheClusterIsRead(t *testing.T) {
	handler := serving(t, shop(), nil, func(o *rest.Options) {
		o.Synced = func(context.Context) error { return errors.New("the watched resources have not been read yet") }
	})
	path := named("pay")
	path["run"] = "schedule-1"
	for _, operation := range operations(t) {
		got := ask(t, handler, operation, path, "")
		if p := problem(t, got); p.Status != http.StatusServiceUnavailable || p.Detail != "the watched resources have not been read yet" || got.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %+v", operation, p)
		}
	}
}

// failing is a ledger that does not answer.
type failing struct{ view.Ledger }

func (failing) Overview(context.Context, time.Time) ([]ledger.Summary, error) {
	return nil, ledger.ErrUnavailable
}

func (failing) Runs(context.Context, check.Ref, ledger.RunsQuery) ([]ledger.Record, error) {
	return nil, ledger.ErrUnavailable
}

func (failing) RunOfTick(context.Context, check.Ref, time.Time, check.Trigger) (r ledger.Record, ok bool, err error) {
	return r, false, ledger.ErrUnavailable
}

// Checks are shown without the ledger. What only the ledger has is not there for the moment.
func TestChecksAreShownWhileTheLedgerDoesNotAnswer(t *testing.T) {
	handler := serving(t, shop(), failing{})
	path := named("pay")
	path["run"] = "schedule-1"
	for operation, status := range map[string]int{
		"/checks": 200, "/checks/{namespace}/{name}": 200, "/summary": 200, "/checks/{namespace}/{name}/badge": 200,
		"/checks/{namespace}/{name}/runs": 503, "/checks/{namespace}/{name}/runs/{run}": 503, "/checks/{namespace}/{name}/runs/{run}/evidence": 503,
	} {
		if got := ask(t, handler, operation, path, ""); got.StatusCode != status {
			t.Errorf("%s: %d %s, want %d", operation, got.StatusCode, got.body, status)
		}
	}
	if sum := read[apiclient.Summary](t, ask(t, handler, "/summary", nil, "")); sum.Ledger != apiclient.LedgerStateUnavailable {
		t.Errorf("the ledger is %s", sum.Ledger)
	}
}
