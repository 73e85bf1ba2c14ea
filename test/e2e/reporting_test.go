//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// TestReportsUseNoProxy runs a check behind a proxy where nothing listens. Its report arrives nevertheless.
func TestReportsUseNoProxy(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	apply(t, demoCheck(namespace, "behind-proxy", env{"HTTP_PROXY": "http://127.0.0.1:3128", "HTTPS_PROXY": "http://127.0.0.1:3128"}))
	state := awaitState(t, namespace, "behind-proxy", 30*time.Second, "an outcome", anyState)
	if !state.OK {
		t.Errorf("state is %+v, want OK", state)
	}
}

// TestAnAnnotationChoosesThePathOfReports, as images of Kuberhealthy v3 need it. A wrong path stops the check with a text, until
// it is right.
func TestAnAnnotationChoosesThePathOfReports(t *testing.T) {
	t.Parallel()
	const annotation = "khronicle.github.io/report-path"
	namespace := newNamespace(t)
	check := demoCheck(namespace, "of-v3", nil)
	check.Spec.RunInterval = "10s"
	check.Annotations = map[string]string{annotation: "check"}
	apply(t, check)
	awaitState(t, namespace, "of-v3", 30*time.Second, "the error names the annotation", func(state khv1.WorkloadDetails) bool {
		return !state.OK && len(state.Errors) == 1 && strings.Contains(state.Errors[0], annotation) && strings.Contains(state.Errors[0], `"check" is not /externalCheckStatus or /check`)
	})
	edit(t, namespace, "of-v3", func(c *khv1.KuberhealthyCheck) { c.Annotations[annotation] = "/check" })
	awaitState(t, namespace, "of-v3", 30*time.Second, "OK", func(state khv1.WorkloadDetails) bool { return state.OK })
	pods := podsOf(t, namespace, "of-v3")
	if len(pods) == 0 {
		t.Fatal("no pods")
	}
	for _, variable := range pods[0].Spec.Containers[0].Env {
		if variable.Name == "KH_REPORTING_URL" && !strings.HasSuffix(variable.Value, ":"+reportPort+"/check") {
			t.Errorf("the pod reports to %s, want the path /check", variable.Value)
		}
	}
}

// TestReportingURLsThatCannotBeAreRefused: by the flag and by the variable, before the worker connects to anything.
func TestReportingURLsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"kuberhealthy.kuberhealthy.svc:80/externalCheckStatus", "http//kuberhealthy.kuberhealthy/externalCheckStatus", "kuberhealthy",
		"http://kuberhealthy:99999/check", "http://kuberhealthy/check\n",
	} {
		for source, set := range map[string]func(*exec.Cmd){
			"--reporting-url":           func(cmd *exec.Cmd) { cmd.Args = append(cmd.Args, "--reporting-url", url) },
			"KH_EXTERNAL_REPORTING_URL": func(cmd *exec.Cmd) { cmd.Env = append(os.Environ(), "KH_EXTERNAL_REPORTING_URL="+url) },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			cmd := exec.CommandContext(ctx, filepath.Join(under.bin, "khronicle"), "worker", "--operations-listen", "127.0.0.1:0")
			set(cmd)
			out, err := cmd.CombinedOutput()
			if want := source + ": not a URL such as"; err == nil || ctx.Err() != nil || !strings.Contains(string(out), want) {
				t.Errorf("%q: error %v, output %s, want %s", url, err, out, want)
			}
			cancel()
		}
	}
}
