package browser_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/operations"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/ledger/ledgertest"
	"github.com/khronicle/khronicle/reportapi"
	"github.com/khronicle/khronicle/view"
)

// hostile is what a browser must show as a text.
const hostile = `<script>hostile()</script>"><img src=x onerror=hostile()>` + "\x1b[31mred\x1b[0m \u202eright to left\u202c </pre></details><svg onload=hostile()> javascript:hostile() {{.}}"

// cluster has what informers would have read. Its checks run each minute, and it has the records of their runs.
type cluster struct {
	now     time.Time
	checks  []*khv1.KuberhealthyCheck
	jobs    []*khv1.KuberhealthyJob
	states  []*khv1.KuberhealthyState
	records []ledger.Record
}

func (c *cluster) Checks() []*khv1.KuberhealthyCheck { return c.checks }
func (c *cluster) Jobs() []*khv1.KuberhealthyJob     { return c.jobs }
func (c *cluster) States() []*khv1.KuberhealthyState { return c.states }
func (c *cluster) IsJob(state *khv1.KuberhealthyState) bool {
	return state.Spec.GetKHWorkload() == khv1.KHJob
}

// add adds a check with runs, of which outcome says how each ended. Run 0 is the newest.
func (c *cluster) add(namespace, name string, runs int, outcome func(run int) check.Outcome) *khv1.KuberhealthyCheck {
	added := &khv1.KuberhealthyCheck{
		ObjectMeta: c.meta(namespace, name),
		Spec: khv1.CheckConfig{RunInterval: "1m", Timeout: "30s", PodSpec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "check", Image: "example/check:1", Args: []string{"--expect", hostile},
		}}}},
	}
	c.checks = append(c.checks, added)
	for run := range runs {
		c.records = append(c.records, c.record(namespace, name, run, outcome(run)))
	}
	if runs > 0 {
		c.states = append(c.states, c.state(namespace, name, outcome(0)))
	}
	return added
}

func (c *cluster) meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID("uid-" + namespace + "-" + name),
		ResourceVersion: fmt.Sprint(len(c.checks) + len(c.states) + 1), CreationTimestamp: metav1.NewTime(c.now.Add(-24 * time.Hour)),
	}
}

func (c *cluster) tick(run int) time.Time {
	return c.now.Add(-20*time.Second - time.Duration(run)*time.Minute).Truncate(time.Second)
}

func (c *cluster) record(namespace, name string, run int, outcome check.Outcome) ledger.Record {
	tick := c.tick(run)
	took := time.Duration(500+len(name)*37+run*run*211%977) * time.Millisecond
	r := ledger.Record{
		Key:  ledger.Key{CheckUID: "uid-" + namespace + "-" + name, Trigger: check.TriggerSchedule, Tick: tick},
		Kind: khv1.KHCheck, Namespace: namespace, Name: name, Outcome: outcome, Attempts: 1, Node: "node-1",
		Started: tick.Add(time.Second), PodCreated: tick.Add(1100 * time.Millisecond), Running: tick.Add(2 * time.Second),
		Reported: tick.Add(2*time.Second + took), Concluded: tick.Add(2*time.Second + took), Exited: tick.Add(4 * time.Second),
		Recorded: tick.Add(5 * time.Second), Deadline: tick.Add(31 * time.Second), WorkflowID: uuid.NewString(),
		SpecHash: "f00", ImageDigest: "sha256:ab",
	}
	if outcome != check.Succeeded {
		r.Errors, r.Notes = []string{hostile, strings.Repeat("a long line ", 200)}, []string{"attempt 1 failed"}
	}
	return r
}

func (c *cluster) state(namespace, name string, outcome check.Outcome) *khv1.KuberhealthyState {
	state := &khv1.KuberhealthyState{ObjectMeta: c.meta(namespace, name)}
	tick := c.tick(0)
	conclusion := check.Conclusion{Outcome: outcome, Started: tick.Add(time.Second), Concluded: tick.Add(3 * time.Second), Node: "node-1", Reported: true}
	if outcome != check.Succeeded {
		conclusion.Errors = []string{hostile, "second error"}
	}
	ref := check.Ref{Kind: khv1.KHCheck, Namespace: namespace, Name: name}
	state = check.NewState(state, ref, uuid.NewString(), "worker-0", conclusion)
	check.AddRecentRun(state, check.NewRecentRun(tick, conclusion))
	return state
}

// serve serves the cluster with a ledger of its records by the real report API. The result is its address.
func (c *cluster) serve(t testing.TB, fill ...func(*ledger.Ledger)) string {
	t.Helper()
	records, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.fill(t, records)
	for _, more := range fill {
		more(records)
	}
	shown := view.New(view.Options{Cluster: c, Ledger: records, FreshFor: 250 * time.Millisecond})
	server, err := reportapi.New(reportapi.Options{
		Address: "127.0.0.1:0", Signaler: nobody{}, View: shown, Name: "khronicle-0", Registry: prometheus.NewRegistry(),
		Synced: func(context.Context) error { return nil }, Ready: &operations.Readiness{}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := shown.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { shown.Run(ctx); ended <- nil }()
	go func() { ended <- server.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if err := records.Close(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + server.Addr().String()
}

// fill stores the records, as the worker does for each outcome.
func (c *cluster) fill(t testing.TB, l *ledger.Ledger) {
	t.Helper()
	var ended, ticks []ledger.Record
	for _, r := range c.records {
		switch {
		case r.Outcome == check.Unfinished:
			if err := l.Begin(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		case withoutRun(r.Outcome):
			ticks = append(ticks, ledger.Record{Key: r.Key, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, Outcome: r.Outcome})
		default:
			ended = append(ended, r)
		}
	}
	ledgertest.Fill(t, l, ended)
	if len(ticks) == 0 {
		return
	}
	if _, err := l.RecordTicks(t.Context(), ticks); err != nil {
		t.Fatal(err)
	}
}

// withoutRun is true for the outcomes of ticks that started no run.
func withoutRun(outcome check.Outcome) bool {
	return outcome == check.Skipped || outcome == check.Missed || outcome == check.Paused
}

// nobody takes no reports.
type nobody struct{}

func (nobody) SignalWorkflow(context.Context, string, string, string, any) error { return nil }
