package view_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/view"
)

// noon is the present of these tests.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// cluster has checks, jobs and states. They are changed by change while a view reads them.
type cluster struct {
	mu     sync.Mutex
	checks []*khv1.KuberhealthyCheck
	jobs   []*khv1.KuberhealthyJob
	states []*khv1.KuberhealthyState
}

func (c *cluster) change(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *cluster) Checks() []*khv1.KuberhealthyCheck { return read(c, &c.checks) }
func (c *cluster) Jobs() []*khv1.KuberhealthyJob     { return read(c, &c.jobs) }
func (c *cluster) States() []*khv1.KuberhealthyState { return read(c, &c.states) }

func read[T any](c *cluster, all *[]T) []T {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(*all)
}

func (c *cluster) IsJob(state *khv1.KuberhealthyState) bool {
	return state.Spec.GetKHWorkload() == khv1.KHJob
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(noon.Add(-24 * time.Hour)),
	}
}

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "check", Image: "example/check:1"}}}
}

// newCheck is a check of the namespace shop that runs each minute, for half a minute at most.
func newCheck(name string, change ...func(*khv1.KuberhealthyCheck)) *khv1.KuberhealthyCheck {
	c := &khv1.KuberhealthyCheck{ObjectMeta: meta("shop", name), Spec: khv1.CheckConfig{RunInterval: "1m", Timeout: "30s", PodSpec: podSpec()}}
	for _, apply := range change {
		apply(c)
	}
	return c
}

func newJob(name string, phase khv1.JobPhase) *khv1.KuberhealthyJob {
	return &khv1.KuberhealthyJob{ObjectMeta: meta("shop", name), Spec: khv1.JobConfig{Timeout: "30s", Phase: phase, PodSpec: podSpec()}}
}

// stateOf is the state after runs with these outcomes, each a minute after the other. The last one began ten seconds before
// noon, and each took two seconds.
func stateOf(kind khv1.KHWorkload, name string, outcomes ...check.Outcome) *khv1.KuberhealthyState {
	state := &khv1.KuberhealthyState{ObjectMeta: meta("shop", name)}
	for i, outcome := range outcomes {
		tick := noon.Add(-10*time.Second - time.Duration(len(outcomes)-1-i)*time.Minute)
		conclusion := check.Conclusion{Outcome: outcome, Started: tick.Add(time.Second), Concluded: tick.Add(3 * time.Second), Node: "node-1", Reported: true}
		if outcome != check.Succeeded {
			conclusion.Errors = []string{fmt.Sprintf("run %d is %s", i, outcome)}
		}
		state = check.NewState(state, check.Ref{Kind: kind, Namespace: "shop", Name: name}, uuid.NewString(), "worker-0", conclusion)
		check.AddRecentRun(state, check.NewRecentRun(tick, conclusion))
	}
	return state
}

// openLedger is a real ledger in a new SQLite file.
func openLedger(t testing.TB) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// record is the closed record of a run of a check of the namespace shop. It began a second after its tick, and took this
// long.
func record(name string, tick time.Time, outcome check.Outcome, took time.Duration) ledger.Record {
	r := ledger.Record{
		Key:  ledger.Key{CheckUID: "uid-" + name, Trigger: check.TriggerSchedule, Tick: tick},
		Kind: khv1.KHCheck, Namespace: "shop", Name: name, Outcome: outcome, Attempts: 1, Node: "node-1",
		Started: tick.Add(time.Second), Reported: tick.Add(time.Second + took), Concluded: tick.Add(time.Second + took),
		Recorded: tick.Add(2*time.Second + took), WorkflowID: uuid.NewString(),
	}
	if outcome != check.Succeeded {
		r.Errors = []string{"it is " + string(outcome)}
	}
	return r
}

// shown is the check of a name in the present snapshot.
func shown(t *testing.T, v *view.View, name string) *view.Check {
	t.Helper()
	c, ok := v.Snapshot().Check("", "shop", name)
	if !ok {
		t.Fatalf("no check or job %s is shown", name)
	}
	return c
}
