//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// metricsOf is what a role shows at /metrics.
func metricsOf(t testing.TB, port string) string {
	t.Helper()
	response, err := http.Get("http://127.0.0.1:" + port + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeConfig(t *testing.T, content string) {
	t.Helper()
	if err := os.WriteFile(under.configFile(), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func roleLog(t *testing.T, role string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(under.state, role+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var everyRole = map[string]string{"worker": workerPort, "starter": starterPort, "reportapi": reportPort}

// configure changes the configuration file and waits until every role has read the new one. A role whose file has been
// right all the time shows it by the time of its last success alone.
func configure(t *testing.T, content string) {
	t.Helper()
	before := map[string]float64{}
	for role := range everyRole {
		before[role] = lastReload(t, role)
	}
	writeConfig(t, content)
	for role := range everyRole {
		eventually(t, 15*time.Second, role+" reads the new configuration", func() (bool, string) {
			return lastReload(t, role) > before[role] && reloadSuccessful(t, role), fmt.Sprintf("last read at %f", before[role])
		})
	}
}

// lastReload is when a role last read a configuration that is right, in seconds.
func lastReload(t *testing.T, role string) float64 {
	t.Helper()
	_, after, found := strings.Cut(metricsOf(t, everyRole[role]), "\nkhronicle_config_last_reload_success_timestamp_seconds ")
	value, _, _ := strings.Cut(after, "\n")
	at, err := strconv.ParseFloat(value, 64)
	if !found || err != nil {
		t.Fatalf("%s shows no time of its last reload: %v", role, err)
	}
	return at
}

func reloadSuccessful(t *testing.T, role string) bool {
	t.Helper()
	return strings.Contains(metricsOf(t, everyRole[role]), "\nkhronicle_config_last_reload_successful 1\n")
}

// TestHotReload changes the configuration file while runs are open. New values have an effect within seconds. A file that
// cannot be read changes nothing, and the log says which line is wrong. Runs and schedules continue unchanged.
func TestHotReload(t *testing.T) {
	t.Cleanup(func() { writeConfig(t, defaultConfig) })
	namespace := newNamespace(t)
	apply(t, demoCheck(namespace, "bystander", env{"REPORT_DELAY": "45s"}))
	failing := demoCheck(namespace, "failing", env{"REPORT_ERRORS": "a fault of many words", "EXIT_CODE": "1"})
	failing.Spec.RunInterval = "5s"
	apply(t, failing)
	awaitState(t, namespace, "failing", 20*time.Second, "an outcome", anyState)
	pod := awaitPod(t, namespace, "bystander", corev1.PodRunning)
	schedule := scheduleRun(t, "khcheck/"+namespace+"/bystander")

	eventually(t, 60*time.Second, "several failed pods are kept", func() (bool, string) {
		n := len(failedPods(t, namespace, "failing"))
		return n >= 3, fmt.Sprintf("%d", n)
	})

	configure(t, "stateMetadata: {cluster: blue}\npromMetricsConfig: {errorLabelMaxLength: 7}\nmaxErrorPodCount: 1\nenableForceMaster: true\n")
	eventually(t, 15*time.Second, "the page shows the metadata", func() (bool, string) {
		return statusPage(t, "").Metadata["cluster"] == "blue", "not yet"
	})
	eventually(t, 5*time.Second, "the error label is cut", func() (bool, string) {
		return strings.Contains(metricsOf(t, reportPort), `error="a fault"`), "not yet"
	})
	// A pod that has just ended is left alone for a minute: no more of them may come.
	edit(t, namespace, "failing", func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = true })
	eventually(t, 3*time.Minute, "one failed pod is kept", func() (bool, string) {
		n := len(failedPods(t, namespace, "failing"))
		return n == 1, fmt.Sprintf("%d", n)
	})

	writeConfig(t, "stateMetadata: {cluster: green}\nmaxKHJobAge: 15 minutes\n")
	for role := range everyRole {
		eventually(t, 15*time.Second, role+" refuses the configuration", func() (bool, string) {
			return !reloadSuccessful(t, role), "the last reload was successful"
		})
		if want := `:2: maxKHJobAge: \"15 minutes\" is not a duration such as \"15m\"`; !strings.Contains(roleLog(t, role), want) {
			t.Errorf("the log of %s lacks %s", role, want)
		}
	}
	if got := statusPage(t, "").Metadata["cluster"]; got != "blue" {
		t.Errorf("metadata is %q after a file that cannot be read, want what was in force", got)
	}
	configure(t, "stateMetadata: {cluster: green}\n")
	if got := statusPage(t, "").Metadata["cluster"]; got != "green" {
		t.Errorf("metadata is %q", got)
	}

	awaitState(t, namespace, "bystander", 60*time.Second, "the outcome of the run that was in flight", func(s khv1.WorkloadDetails) bool { return s.OK })
	if pods := podsOf(t, namespace, "bystander"); len(pods) != 1 || pods[0].UID != pod.UID {
		t.Errorf("the bystander has %d pods, want the one it had", len(pods))
	}
	if now := scheduleRun(t, "khcheck/"+namespace+"/bystander"); now != schedule {
		t.Error("the schedule of the bystander was started anew")
	}
}

func failedPods(t *testing.T, namespace, name string) []corev1.Pod {
	t.Helper()
	var failed []corev1.Pod
	for _, p := range podsOf(t, namespace, name) {
		if p.Status.Phase == corev1.PodFailed {
			failed = append(failed, p)
		}
	}
	return failed
}

// TestBadCheckDisturbsNobody: a check that cannot run says so on its own state; another runs on.
func TestBadCheckDisturbsNobody(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	good := demoCheck(namespace, "good", nil)
	good.Spec.RunInterval = "4s"
	apply(t, good)
	first := awaitState(t, namespace, "good", 20*time.Second, "OK", func(s khv1.WorkloadDetails) bool { return s.OK })
	schedule := scheduleRun(t, "khcheck/"+namespace+"/good")
	bad := demoCheck(namespace, "bad", nil)
	bad.Spec.Timeout = "never"
	apply(t, bad)
	awaitState(t, namespace, "bad", 10*time.Second, "what is wrong", func(s khv1.WorkloadDetails) bool {
		return len(s.Errors) == 1 && s.Errors[0] == `Check execution error: spec.timeout: "never" is not a duration above 0, such as "5m"`
	})
	awaitState(t, namespace, "good", 20*time.Second, "a later run", func(s khv1.WorkloadDetails) bool {
		return s.OK && s.CurrentUUID != first.CurrentUUID
	})
	if now := scheduleRun(t, "khcheck/"+namespace+"/good"); now != schedule {
		t.Error("the schedule of the good check was started anew")
	}
}
