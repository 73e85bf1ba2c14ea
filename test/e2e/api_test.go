//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/external/apiclient"
	"github.com/khronicle/khronicle/internal/described"
	"github.com/khronicle/khronicle/internal/protocol"
)

// follow collects the states of checks of a namespace that the stream of changes has, such as "crash failing".
func follow(t *testing.T, client *apiclient.Client, namespace string) (seen func() []string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var states []string
	began, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for change, err := range client.Changes(ctx, apiclient.StreamChangesParams{Namespace: &[]string{namespace}}) {
			mu.Lock()
			switch {
			case err != nil: // that of the context
			case change.Changed != nil:
				states = append(states, change.Changed.Name+" "+string(change.Changed.State))
			case change.Deleted != nil:
				states = append(states, change.Deleted.Name+" deleted")
			case change.Refresh:
				select {
				case <-began:
				default:
					close(began)
				}
			}
			mu.Unlock()
		}
	}()
	t.Cleanup(func() { stop(); <-ended })
	<-began
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(states)
	}
}

// TestTheAPIShowsWhatHappens: the API shows an open run without its UUID, the failed run with its evidence, a pause and a
// deletion. The stream has each of these changes.
func TestTheAPIShowsWhatHappens(t *testing.T) {
	t.Parallel()
	openLedger(t) // the report API opens it when the worker has made it
	namespace := newNamespace(t)
	client, err := apiclient.NewClient(reportBase+"/api/v1", apiclient.WithHTTPClient(&http.Client{Transport: described.Transport(t, nil)}))
	if err != nil {
		t.Fatal(err)
	}
	seen := follow(t, client, namespace)
	apply(t, demoCheck(namespace, "crash", env{"SKIP_REPORT": "true", "EXIT_CODE": "3", "REPORT_DELAY": "5s", "LOG_LINES": "3"}))
	pod := awaitPod(t, namespace, "crash", corev1.PodRunning)
	var open apiclient.Run
	eventually(t, 30*time.Second, "the API shows the open run", func() (bool, string) {
		list, err := apiclient.Decode[apiclient.RunList](client.ListRuns(t.Context(), namespace, "crash", nil))
		if err != nil || len(list.Items) == 0 {
			return false, fmt.Sprint(err)
		}
		open = list.Items[0]
		return true, ""
	})
	if open.Outcome == apiclient.OutcomeRunning && open.UUID != nil {
		t.Errorf("the open run has the UUID %s", *open.UUID)
	}
	var failed apiclient.Run
	eventually(t, time.Minute, "the API shows the failed run", func() (bool, string) {
		failed, err = apiclient.Decode[apiclient.Run](client.GetRun(t.Context(), namespace, "crash", open.ID, nil))
		return err == nil && failed.Outcome == apiclient.OutcomeFailed, fmt.Sprintf("%+v, %v", failed, err)
	})
	if failed.UUID == nil || *failed.UUID != pod.Labels[protocol.LabelRunID] || failed.Node == nil || failed.ExitedAt == nil {
		t.Errorf("the failed run is %+v, want the UUID %s", failed, pod.Labels[protocol.LabelRunID])
	}
	evidence, err := apiclient.Decode[apiclient.Evidence](client.GetEvidence(t.Context(), namespace, "crash", *failed.UUID, nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(evidence.Containers) == 0 || evidence.Containers[0].ExitCode == nil || *evidence.Containers[0].ExitCode != 3 {
		t.Errorf("containers are %+v, want the exit code 3", evidence.Containers)
	}
	if !slices.ContainsFunc(evidence.Pieces, func(p apiclient.Piece) bool { return p.Kind == "log" && strings.Contains(p.Content, "line 3 of 3") }) {
		t.Errorf("pieces are %+v, want the log", evidence.Pieces)
	}
	awaitShown := func(state apiclient.State) apiclient.Check {
		var shown apiclient.Check
		eventually(t, 30*time.Second, "the API shows the check as "+string(state), func() (bool, string) {
			shown, err = apiclient.Decode[apiclient.Check](client.GetCheck(t.Context(), namespace, "crash", nil))
			return err == nil && shown.State == state, fmt.Sprintf("%+v, %v", shown, err)
		})
		return shown
	}
	if shown := awaitShown(apiclient.StateFailing); shown.Reason != apiclient.ReasonFailed || len(shown.Errors) == 0 || shown.NextRunAt == nil {
		t.Errorf("the failing check is %+v", shown)
	}
	edit(t, namespace, "crash", func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = true })
	awaitShown(apiclient.StatePaused)
	inStream := func(want string) {
		eventually(t, 10*time.Second, "the stream has "+want, func() (bool, string) {
			return slices.Contains(seen(), want), strings.Join(seen(), ", ")
		})
	}
	inStream("crash paused") // of several changes between two looks, the last is seen
	if err := under.kube.checks(namespace).Delete(t.Context(), "crash", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the API no longer shows the deleted check", func() (bool, string) {
		_, err := apiclient.Decode[apiclient.Check](client.GetCheck(t.Context(), namespace, "crash", nil))
		return apiclient.IsNotFound(err), fmt.Sprint(err)
	})
	for _, want := range []string{"crash unknown", "crash failing", "crash deleted"} {
		inStream(want)
	}
	if runs, err := apiclient.Decode[apiclient.RunList](client.ListRuns(t.Context(), namespace, "crash", nil)); err != nil || len(runs.Items) == 0 {
		t.Errorf("the runs of the deleted check are %+v, %v", runs, err)
	}
}
