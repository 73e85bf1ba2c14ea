//go:build e2e

package e2e

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

var (
	manyChecks   = flag.Int("many", 40, "how many checks TestManyChecksAtOnce applies")
	manyInterval = flag.Duration("many-interval", time.Minute, "their interval")
)

// startSlack is how long after its interval the pod of a check's first run may be made.
const startSlack = 10 * time.Second

// TestManyChecksAtOnce applies many checks together. Each check starts within its interval, and their starts are spread.
// Every run ends in one outcome. The edit of one check disturbs no other. How fast the node starts the pods does not
// matter.
func TestManyChecksAtOnce(t *testing.T) {
	startAtOnce(t, 20)
	var namespace string
	t.Cleanup(func() { // the next test has the node to itself
		eventually(t, 2*time.Minute, "the pods are gone", func() (bool, string) {
			pods, err := under.kube.core.CoreV1().Pods(namespace).List(context.Background(), metav1.ListOptions{})
			return err == nil && len(pods.Items) == 0, fmt.Sprintf("%d, error %v", len(pods.Items), err)
		})
	})
	namespace = newNamespace(t)
	applied := time.Now()
	for i := range *manyChecks {
		c := demoCheck(namespace, fmt.Sprintf("many-%03d", i), nil)
		c.Spec.RunInterval = manyInterval.String()
		apply(t, c)
	}
	t.Logf("applied %d checks in %s", *manyChecks, time.Since(applied).Round(time.Millisecond))
	edited, schedules := "many-000", map[string]string{}
	awaitState(t, namespace, edited, 2*time.Minute, "an outcome", anyState)
	for _, id := range workflowIDs(t, scheduleQuery(namespace)) {
		schedules[id] = scheduleRun(t, id)
	}
	edit(t, namespace, edited, func(c *khv1.KuberhealthyCheck) { c.Spec.ExtraLabels = map[string]string{"edited": "true"} })

	for i := range *manyChecks {
		awaitState(t, namespace, fmt.Sprintf("many-%03d", i), *manyInterval+2*time.Minute, "OK", func(s khv1.WorkloadDetails) bool { return s.OK })
	}
	checkSpread(t, namespace, applied)
	for id, run := range schedules {
		if now := scheduleRun(t, id); now != run && id != "khcheck/"+namespace+"/"+edited {
			t.Errorf("the edit of %s restarted the schedule %s", edited, id)
		}
	}
	eventually(t, time.Minute, "all first runs have ended in an outcome", func() (bool, string) {
		n, err := temporal(t).CountWorkflow(t.Context(), countRequest(fmt.Sprintf(
			"KhNamespace = '%s' AND WorkflowType = 'CheckRun' AND KhOutcome = 'succeeded'", namespace)))
		return err == nil && n.GetCount() > int64(*manyChecks), fmt.Sprintf("%d, error %v", n.GetCount(), err)
	})
	others := workflowIDs(t, fmt.Sprintf("KhNamespace = '%s' AND WorkflowType = 'CheckRun' AND ExecutionStatus != 'Running' AND KhOutcome != 'succeeded'", namespace))
	if len(others) > 0 {
		t.Errorf("%d runs ended otherwise than in success", len(others))
	}
}

// startAtOnce runs the starter with this burst until the test ends.
func startAtOnce(t *testing.T, burst int) {
	t.Helper()
	again := func() {
		under.kill("starter")
		if err := under.start("starter"); err != nil {
			t.Fatal(err)
		}
		if err := under.ready(time.Minute, "starter"); err != nil {
			t.Fatal(err)
		}
	}
	under.startBurst = burst
	t.Cleanup(func() {
		under.startBurst = anyBurst
		again()
	})
	again()
}

// checkSpread looks at when the first pod of each check was made.
func checkSpread(t *testing.T, namespace string, applied time.Time) {
	t.Helper()
	pods, err := under.kube.core.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first := map[string]time.Time{}
	for _, p := range pods.Items {
		name, at := p.Labels["kuberhealthy-check-name"], p.CreationTimestamp.Time
		if known, ok := first[name]; !ok || at.Before(known) {
			first[name] = at
		}
	}
	const buckets = 10
	var counts [buckets + 1]int
	for name, at := range first {
		if after := at.Sub(applied); after > *manyInterval+startSlack {
			t.Errorf("the first pod of %s was made after %s", name, after.Round(time.Second))
		}
		bucket := int(at.Sub(applied) * buckets / *manyInterval)
		counts[max(0, min(bucket, buckets))]++
	}
	t.Logf("first pods in each tenth of the interval, and after it: %v", counts)
	if len(first) != *manyChecks {
		t.Errorf("%d of %d checks have a pod", len(first), *manyChecks)
	}
	// A burst of 20 starts at once; the rest is spread evenly, but for chance.
	if mean := *manyChecks / buckets; slices.Max(counts[2:buckets]) > 3*mean || counts[0]+counts[1] > 20+6*mean {
		t.Errorf("starts are not spread: %v, want about %d in each tenth", counts, mean)
	}
}

func scheduleQuery(namespace string) string {
	return fmt.Sprintf("KhNamespace = '%s' AND WorkflowType = 'ScheduledCheck' AND ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH 'khcheck/%s/'", namespace, namespace)
}

// scheduleRun is the first run ID of a cron workflow. Each tick has a run ID of its own, and all ticks of a schedule have
// the same first run ID. A schedule that was started anew has another one.
func scheduleRun(t *testing.T, id string) string {
	t.Helper()
	described, err := temporal(t).DescribeWorkflowExecution(t.Context(), id, "")
	if err != nil {
		t.Fatal(err)
	}
	return described.GetWorkflowExecutionInfo().GetFirstRunId()
}
