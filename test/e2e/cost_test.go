//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxRequestsPerRun is what one completed run may cost the API server.
const maxRequestsPerRun = 4.0

// TestRequestsPerRun counts, in the API server's audit log, what ten checks at a steady state cost.
func TestRequestsPerRun(t *testing.T) {
	namespace := newNamespace(t)
	const checks, interval, window = 10, 6 * time.Second, 45 * time.Second
	for i := range checks {
		c := demoCheck(namespace, fmt.Sprintf("steady-%d", i), nil)
		c.Spec.RunInterval = interval.String()
		apply(t, c)
	}
	// Steady means that every run deletes as many pods as it makes: four finished ones are kept of each check.
	eventually(t, 5*time.Minute, "each check has more finished runs than are kept, and the reaper deletes the others", func() (bool, string) {
		pods, err := under.kube.core.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
		runs := completedRuns(t, namespace)
		return err == nil && runs >= checks*6 && len(pods.Items) < runs, fmt.Sprintf("%d runs, %d pods, error %v", runs, len(pods.Items), err)
	})
	before, from, cpu := completedRuns(t, namespace), time.Now(), cpuSeconds(t)
	for range 20 { // pages and scrapes must cost nothing
		time.Sleep(window / 20)
		statusPage(t, "")
		scrape(t)
	}
	runs, until := completedRuns(t, namespace)-before, time.Now()
	requests := auditRequests(t, from, until)
	total := 0
	for what, n := range requests {
		t.Logf("%-28s %5d  %.2f per run", what, n, float64(n)/float64(runs))
		total += n
		if strings.HasPrefix(what, "list") && what != "list events" { // those say why a pod does not start
			t.Errorf("%d × %s, want no LIST", n, what)
		}
	}
	perRun := float64(total) / float64(runs)
	t.Logf("%d runs, %d requests: %.2f per run", runs, total, perRun)
	for name, seconds := range cpuSeconds(t) {
		t.Logf("CPU of %-10s %6.1f ms per run", name, 1000*(seconds-cpu[name])/float64(runs))
	}
	if perRun > maxRequestsPerRun {
		t.Errorf("%.2f requests per run, want %.0f or fewer", perRun, maxRequestsPerRun)
	}
}

func completedRuns(t testing.TB, namespace string) int {
	t.Helper()
	count, err := temporal(t).CountWorkflow(t.Context(), countRequest(
		fmt.Sprintf("KhNamespace = '%s' AND WorkflowType = 'CheckRun' AND ExecutionStatus = 'Completed'", namespace)))
	if err != nil {
		t.Fatal(err)
	}
	return int(count.GetCount())
}

// cpuSeconds reads how much CPU time each process of the stack has used.
func cpuSeconds(t testing.TB) map[string]float64 {
	t.Helper()
	const ticksPerSecond = 100 // USER_HZ, which is the same on all Linux
	used := map[string]float64{}
	for name, process := range under.processes {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(stat), ") ")       // the name of the program may hold blanks
		for _, field := range strings.Fields(rest)[11:13] { // user and system time
			n, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			used[name] += float64(n) / ticksPerSecond
		}
	}
	return used
}

func scrape(t testing.TB) {
	t.Helper()
	response, err := http.Get(reportBase + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("/metrics is answered %d", response.StatusCode)
	}
}

// auditRequests counts Khronicle's requests in a span of time, by verb and resource. Watches are long-lived: they are
// counted when they begin.
func auditRequests(t testing.TB, from, until time.Time) map[string]int {
	t.Helper()
	file, err := os.Open(filepath.Join(filepath.Dir(filepath.Dir(under.kubeconfig)), "log", "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	counts := map[string]int{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Verb, UserAgent          string
			RequestReceivedTimestamp time.Time
			ObjectRef                struct{ Resource string }
			RequestURI, Stage        string
		}
		if json.Unmarshal(lines.Bytes(), &event) != nil || !strings.HasPrefix(event.UserAgent, "khronicle/") {
			continue
		}
		at := event.RequestReceivedTimestamp
		if event.Stage == "ResponseStarted" || at.Before(from) || at.After(until) || strings.HasPrefix(event.RequestURI, "/readyz") {
			continue
		}
		counts[event.Verb+" "+event.ObjectRef.Resource]++
	}
	return counts
}
