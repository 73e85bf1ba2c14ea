//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/workflows"
)

// samples are the measurements of one benchmark; it reports their median, least and greatest.
type samples []time.Duration

func (s *samples) add(d time.Duration) { *s = append(*s, d) }

func (s samples) report(b *testing.B, what string) {
	b.Helper()
	slices.Sort(s)
	if len(s) == 0 {
		return
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(s[len(s)/2]), "ms-median:"+what)
	b.ReportMetric(ms(s[0]), "ms-min:"+what)
	b.ReportMetric(ms(s[len(s)-1]), "ms-max:"+what)
	b.ReportMetric(0, "ns/op")
}

// BenchmarkTickToPod measures from a tick to the creation of its pod, as a watcher sees it.
func BenchmarkTickToPod(b *testing.B) {
	namespace := newNamespace(b)
	c := demoCheck(namespace, "tick", nil)
	c.Spec.RunInterval = "4s"
	apply(b, c)
	awaitState(b, namespace, "tick", 20*time.Second, "the first run", anyState)
	events := watchPods(b, namespace)
	id := workflows.ScheduledCheckID(namespace, "tick")
	var late samples
	for range b.N {
		tick := nextTick(b, id)
		for event := range events {
			if pod := event.Object.(*corev1.Pod); event.Type == watch.Added && time.Now().After(tick) && pod.Status.Phase == corev1.PodPending {
				late.add(time.Since(tick))
				break
			}
		}
	}
	late.report(b, "tick-to-pod")
}

// nextTick waits until the cron workflow is between two ticks and returns the time of the next one.
func nextTick(b *testing.B, id string) time.Time {
	b.Helper()
	var next time.Time
	eventually(b, 20*time.Second, "the schedule waits for its next tick", func() (bool, string) {
		described, err := temporal(b).DescribeWorkflowExecution(b.Context(), id, "")
		if err != nil {
			return false, err.Error()
		}
		next = described.GetWorkflowExecutionInfo().GetExecutionTime().AsTime()
		return time.Until(next) > 200*time.Millisecond, "a tick is due"
	})
	return next
}

func watchPods(b *testing.B, namespace string) <-chan watch.Event {
	b.Helper()
	w, err := under.kube.core.CoreV1().Pods(namespace).Watch(b.Context(), metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(w.Stop)
	return w.ResultChan()
}

func watchStates(b *testing.B, namespace string) <-chan watch.Event {
	b.Helper()
	w, err := under.kube.states(namespace).Watch(b.Context(), metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(w.Stop)
	return w.ResultChan()
}

// BenchmarkReportToVisible measures from the answer to a report to its outcome on the KHState and on the status page.
func BenchmarkReportToVisible(b *testing.B) {
	namespace := newNamespace(b)
	events := watchStates(b, namespace)
	var onState, onPage samples
	for i := range b.N {
		name := fmt.Sprintf("visible-%d", i)
		apply(b, demoCheck(namespace, name, env{"REPORT_DELAY": "2s"}))
		pod := awaitPod(b, namespace, name, corev1.PodRunning)
		time.Sleep(300 * time.Millisecond) // a real check works a while between its start and its report
		if status := post(b, pod.Labels["kuberhealthy-run-id"], `{"OK":true,"Errors":[]}`); status != 200 {
			b.Fatalf("report is answered %d", status)
		}
		answered := time.Now()
		for event := range events {
			if event.Object.(*khv1.KuberhealthyState).Name == name {
				onState.add(time.Since(answered))
				break
			}
		}
		eventually(b, 5*time.Second, "the outcome on the status page", func() (bool, string) {
			_, shown := statusPage(b, "?namespace="+namespace).CheckDetails[namespace+"/"+name]
			return shown, "not there"
		})
		onPage.add(time.Since(answered))
	}
	onState.report(b, "report-to-khstate")
	onPage.report(b, "report-to-page")
}

// BenchmarkNewCheckToFirstResult measures from the creation of a check to its first outcome.
func BenchmarkNewCheckToFirstResult(b *testing.B) {
	namespace := newNamespace(b)
	events := watchStates(b, namespace)
	var first samples
	for i := range b.N {
		c := demoCheck(namespace, fmt.Sprintf("new-%d", i), nil)
		apply(b, c)
		created := time.Now()
		for event := range events {
			if event.Object.(*khv1.KuberhealthyState).Name == c.Name {
				first.add(time.Since(created))
				break
			}
		}
		settle(b, namespace)
	}
	first.report(b, "new-check-to-result")
}

// BenchmarkSlotFree measures from the pod's end, as a watcher sees it, to the end of the run: then the next may start.
func BenchmarkSlotFree(b *testing.B) {
	namespace := newNamespace(b)
	events := watchPods(b, namespace)
	var free samples
	for i := range b.N {
		name := fmt.Sprintf("slot-%d", i)
		apply(b, demoCheck(namespace, name, nil))
		for event := range events {
			pod := event.Object.(*corev1.Pod)
			if pod.Labels[protocol.LabelCheckName] != name || pod.Status.Phase != corev1.PodSucceeded {
				continue
			}
			ended := time.Now()
			free.add(closeTime(b, pod.Labels["kuberhealthy-run-id"]).Sub(ended))
			break
		}
		settle(b, namespace)
	}
	free.report(b, "pod-end-to-slot-free")
}

// closeTime waits for the end of a run and returns when it was.
func closeTime(b *testing.B, uuid string) time.Time {
	b.Helper()
	if err := temporal(b).GetWorkflow(b.Context(), uuid, "").Get(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
	described, err := temporal(b).DescribeWorkflowExecution(context.Background(), uuid, "")
	if err != nil {
		b.Fatal(err)
	}
	return described.GetWorkflowExecutionInfo().GetCloseTime().AsTime()
}

// settle waits until no run of the namespace is open, so that one sample does not disturb the next.
func settle(b *testing.B, namespace string) {
	b.Helper()
	eventually(b, 30*time.Second, "all runs are closed", func() (bool, string) {
		open := workflowIDs(b, fmt.Sprintf("KhNamespace = '%s' AND WorkflowType = 'CheckRun' AND ExecutionStatus = 'Running'", namespace))
		return len(open) == 0, fmt.Sprint(open)
	})
}

// BenchmarkBarePod is the floor below BenchmarkNewCheckToFirstResult: from the creation of the same pod, without
// Khronicle's doing, to its report. Nobody knows its run, so the report is refused, which ends the check all the same.
func BenchmarkBarePod(b *testing.B) {
	namespace := newNamespace(b)
	pods := under.kube.core.CoreV1().Pods(namespace)
	var floor samples
	for i := range b.N {
		spec := demoPod(env{
			protocol.EnvReportingURL: reportURL, protocol.EnvRunUUID: uuid.NewString(),
			protocol.EnvDeadline: fmt.Sprint(time.Now().Add(time.Minute).Unix()),
		})
		spec.RestartPolicy = corev1.RestartPolicyNever
		name := fmt.Sprintf("bare-%d", i)
		created := time.Now()
		if _, err := pods.Create(b.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{}); err != nil {
			b.Fatal(err)
		}
		eventually(b, 20*time.Second, "the pod has ended", func() (bool, string) {
			pod, err := pods.Get(b.Context(), name, getOptions)
			return err == nil && pod.Status.Phase == corev1.PodSucceeded, fmt.Sprint(err)
		})
		floor.add(reportedAt(b, namespace, name).Sub(created))
	}
	floor.report(b, "bare-pod-to-report")
}

// reportedAt reads, in the log of a demo pod, when its report was answered.
func reportedAt(b *testing.B, namespace, name string) time.Time {
	b.Helper()
	log, err := under.kube.core.CoreV1().Pods(namespace).GetLogs(name, &corev1.PodLogOptions{}).DoRaw(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		var event struct {
			Time   time.Time
			Status int `json:"http_status"`
		}
		if json.Unmarshal([]byte(line), &event) == nil && event.Status != 0 {
			return event.Time
		}
	}
	b.Fatalf("no report in the log: %s", log)
	return time.Time{}
}
