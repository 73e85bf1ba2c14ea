//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/test/wait"
	"github.com/khronicle/khronicle/test/wire"
)

const reportAddress = "127.0.0.1:" + reportPort

// send sends a request to a run, and fails the test unless it is answered so, and soon.
func send(t *testing.T, address, name string, request wire.Request, runUUID string, want int) wire.Answer {
	t.Helper()
	got, err := request.Send(t.Context(), address, runUUID)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if got.Status != want {
		t.Errorf("%s is answered %d %.300q, want %d", name, got.Status, got.Body, want)
	}
	if got.Took > 9*time.Second {
		t.Errorf("%s is answered after %s", name, got.Took)
	}
	return got
}

// report is a report as Kuberhealthy's clients send it.
func report(body string) wire.Request { return wire.Request{Path: "/externalCheckStatus", Body: body} }

// openRun starts a run that waits for a report of the test's own.
func openRun(t *testing.T, namespace, name string) corev1.Pod {
	t.Helper()
	apply(t, demoCheck(namespace, name, env{"REPORT_DELAY": "5m"}))
	return awaitPod(t, namespace, name, corev1.PodRunning)
}

// TestWireAccepted sends each valid report to a run of its own. What the report said is what the state says.
func TestWireAccepted(t *testing.T) {
	namespace := newNamespace(t)
	for i, tt := range wire.AcceptedCases() {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			name := fmt.Sprintf("case-%d", i)
			runUUID := openRun(t, namespace, name).Labels["kuberhealthy-run-id"]
			if got := send(t, reportAddress, tt.Name, tt.Request, runUUID, http.StatusOK); got.Body != "" {
				t.Errorf("success has a body: %.300q", got.Body)
			}
			state := awaitState(t, namespace, name, 30*time.Second, "an outcome", anyState) // the API server takes seconds for 131,000 errors
			if diff := cmp.Diff(tt.Report.Errors, state.Errors); diff != "" || state.OK != tt.Report.OK {
				t.Errorf("OK=%t, errors (-want +got):\n%.2000s", state.OK, diff)
			}
			scrape(t)
		})
	}
}

// TestWireRefused sends everything that must be refused to one run, which stays open and then takes a valid report.
func TestWireRefused(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	runUUID := openRun(t, namespace, "patient").Labels["kuberhealthy-run-id"]
	cases := slices.Concat(wire.RefusedCases(), wire.NotHTTP())
	for _, tt := range cases {
		send(t, reportAddress, tt.Name, tt.Request, runUUID, tt.Status)
	}
	t.Logf("%d requests were refused", len(cases))
	cron := wire.Request{Header: []string{"kh-run-uuid: khcheck/" + namespace + "/patient"}, Path: "/externalCheckStatus", Body: `{"OK":true}`}
	send(t, reportAddress, "workflow ID of the schedule", cron, runUUID, http.StatusBadRequest)
	if _, err := under.kube.states(namespace).Get(t.Context(), "patient", getOptions); !gone(err) {
		t.Fatalf("a refused report changed the state (error %v)", err)
	}
	send(t, reportAddress, "a valid report", report(`{"OK":false,"Errors":["valid"]}`), runUUID, http.StatusOK)
	state := awaitState(t, namespace, "patient", 10*time.Second, "an outcome", anyState)
	if diff := cmp.Diff([]string{"valid"}, state.Errors); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

// TestWireSlow: a report that does not come in ten seconds is no report, and the run takes the next.
func TestWireSlow(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	runUUID := openRun(t, namespace, "slow").Labels["kuberhealthy-run-id"]
	connection, err := net.Dial("tcp", reportAddress)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	text := report(`{"OK":true,"Errors":[]}`).Bytes(runUUID)
	if _, err := connection.Write(text[:len(text)-5]); err != nil {
		t.Fatal(err)
	}
	if err := connection.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusServiceUnavailable || response.ContentLength != 0 {
		t.Errorf("%s with %d bytes, want 503 and no body", response.Status, response.ContentLength)
	}
	send(t, reportAddress, "the next report", report(`{"OK":false,"Errors":["in time"]}`), runUUID, http.StatusOK)
	awaitState(t, namespace, "slow", 10*time.Second, "the report in time", func(s khv1.WorkloadDetails) bool {
		return len(s.Errors) == 1 && s.Errors[0] == "in time"
	})
}

// TestWireWhileTemporalIsAway: each report gets 503 without a body, several times on one connection. Kuberhealthy's Go
// client needs this to try again. As soon as Temporal is back, the report is accepted. This test runs before the parallel
// ones.
func TestWireWhileTemporalIsAway(t *testing.T) {
	restart(t, "temporal")
	namespace := newNamespace(t)
	runUUID := openRun(t, namespace, "persistent").Labels["kuberhealthy-run-id"]
	under.kill("temporal")
	var dialled int
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled++
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}}
	post := func() int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, reportBase+"/externalCheckStatus", strings.NewReader(`{"OK":false,"Errors":["heard"]}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("kh-run-uuid", runUUID)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.ContentLength != 0 {
			t.Errorf("%s has a body of %d bytes", response.Status, response.ContentLength)
		}
		return response.StatusCode
	}
	for range 2 {
		if status := post(); status != http.StatusServiceUnavailable {
			t.Errorf("answered %d, want 503", status)
		}
	}
	if err := under.start("temporal"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the report is taken", func() (bool, string) {
		status := post()
		return status == http.StatusOK, strconv.Itoa(status)
	})
	if dialled != 1 {
		t.Errorf("%d connections were needed, want 1", dialled)
	}
	awaitState(t, namespace, "persistent", 30*time.Second, "the report", func(s khv1.WorkloadDetails) bool {
		return len(s.Errors) == 1 && s.Errors[0] == "heard"
	})
}

// TestWireAnyReplica: replicas know nothing of each other, and of the run no more than Temporal says.
func TestWireAnyReplica(t *testing.T) {
	t.Parallel()
	second := secondReplica(t)
	namespace := newNamespace(t)
	runUUID := openRun(t, namespace, "shared").Labels["kuberhealthy-run-id"]
	first := report(`{"OK":false,"Errors":["first"]}`)
	send(t, second, "first outcome to the second replica", first, runUUID, http.StatusOK)
	send(t, reportAddress, "the same to the first replica", first, runUUID, http.StatusOK)
	send(t, second, "another outcome", report(`{"OK":true}`), runUUID, http.StatusOK)
	if err := under.kube.core.CoreV1().Pods(namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	settled(t, runUUID)
	for _, address := range []string{second, reportAddress} {
		send(t, address, "after the end, to "+address, report(`{"OK":true}`), runUUID, http.StatusBadRequest)
	}
	awaitState(t, namespace, "shared", time.Second, "the first outcome", func(s khv1.WorkloadDetails) bool {
		return len(s.Errors) == 1 && s.Errors[0] == "first"
	})
}

// secondReplica starts another report API, which ends with the test, and returns its address.
func secondReplica(t *testing.T) string {
	t.Helper()
	const address = "127.0.0.1:18183"
	cmd := exec.Command(filepath.Join(under.bin, "khronicle"), "reportapi", "--kubeconfig", under.kubeconfig, "--pod-name", "reportapi-2", "--listen", address)
	cmd.Env = append(os.Environ(), fmt.Sprintf("TEMPORAL_ADDRESS=127.0.0.1:%d", temporalPort))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	eventually(t, 30*time.Second, "the second replica is ready", func() (bool, string) {
		return wait.Answers(t.Context(), "http://"+address+"/readyz"), ""
	})
	return address
}

// TestWireRepeated: of several reports of a run the first counts, and after the end of the run none does (D9, D10, D14).
func TestWireRepeated(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	pod := openRun(t, namespace, "talkative")
	runUUID := pod.Labels["kuberhealthy-run-id"]
	first := report(`{"OK":false,"Errors":["first"]}`)
	send(t, reportAddress, "first outcome", first, runUUID, http.StatusOK)
	send(t, reportAddress, "D9 the same again", first, runUUID, http.StatusOK)
	send(t, reportAddress, "D14 another outcome", report(`{"OK":true}`), runUUID, http.StatusOK)
	deletePod(t, pod)
	settled(t, runUUID)
	send(t, reportAddress, "D10 after the end", report(`{"OK":true}`), runUUID, http.StatusBadRequest)
	state := awaitState(t, namespace, "talkative", time.Second, "the first outcome", func(s khv1.WorkloadDetails) bool {
		return len(s.Errors) == 1 && s.Errors[0] == "first"
	})
	if state.CurrentUUID != runUUID {
		t.Errorf("state shows another run: %+v", state)
	}
}
