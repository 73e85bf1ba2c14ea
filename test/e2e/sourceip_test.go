//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// Where the report API of TestReportsBySourceIP listens: an address of the node, so that it sees the pods' own.
const (
	nodeAddress    = "10.230.0.1"
	nodeReportPort = "18190"
)

// reportAPIOnTheNode starts a report API that takes reports without a run UUID, in the network of the pods.
func reportAPIOnTheNode(t *testing.T) {
	t.Helper()
	if _, err := under.kubebox("expose", fmt.Sprint(temporalPort)); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(under.state, "reportapi-node.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(under.bin, "kubebox"), "exec", "--", filepath.Join(under.bin, "khronicle"), "reportapi",
		"--listen", nodeAddress+":"+nodeReportPort, "--accept-reports-by-source-ip", "--pod-name", "reportapi-node")
	cmd.Env = append(os.Environ(), "KUBEBOX_NAME=e2e", fmt.Sprintf("TEMPORAL_ADDRESS=%s:%d", nodeAddress, temporalPort))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()
		_ = log.Close()
	})
	eventually(t, 30*time.Second, "the report API on the node is ready", func() (bool, string) {
		out, err := under.kubebox("exec", "--", "curl", "-sf", "http://"+nodeAddress+":"+nodeReportPort+"/readyz")
		return err == nil, out + fmt.Sprint(err)
	})
}

// relax lets a namespace have pods on the node's network.
func relax(t *testing.T, namespace string) {
	t.Helper()
	privileged := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)
	_, err := under.kube.core.CoreV1().Namespaces().Patch(t.Context(), namespace, types.MergePatchType, privileged, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// headerless is a check of a client that sends no run UUID, as Kuberhealthy's before v2.5. It says what it is answered.
func headerless(namespace, name, body string) *khv1.KuberhealthyCheck {
	c := demoCheck(namespace, name, nil)
	script := fmt.Sprintf(`sleep 3; curl -sS -o /dev/null -w '%%{http_code}\n' -d '%s' http://%s:%s/externalCheckStatus; sleep 1`, body, nodeAddress, nodeReportPort)
	c.Spec.PodSpec = corev1.PodSpec{Containers: []corev1.Container{{
		Name: "check", Image: "khronicle/check-shell:dev", ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"sh", "-c", script},
	}}}
	return c
}

// TestReportsBySourceIP: a pod that sends no run UUID is found by its address. A pod on the node's network is not found,
// and neither is a pod whose report has a wrong UUID.
func TestReportsBySourceIP(t *testing.T) {
	namespace := languages(t)
	relax(t, namespace)
	reportAPIOnTheNode(t)
	apply(t, headerless(namespace, "old-client", `{"OK":true,"Errors":[]}`))
	apply(t, headerless(namespace, "old-client-fails", `{"OK":false,"Errors":["told by address"]}`))
	onNode := headerless(namespace, "on-the-node", `{"OK":true,"Errors":[]}`)
	onNode.Spec.PodSpec.HostNetwork = true
	apply(t, onNode)
	wrong := headerless(namespace, "wrong-uuid", `{"OK":true,"Errors":[]}`)
	command := wrong.Spec.PodSpec.Containers[0].Command
	command[2] = strings.Replace(command[2], "curl ", "curl -H 'kh-run-uuid: 6f6cf0a5-2d3a-4c9b-8f4e-1f5f0f6f7a11' ", 1)
	apply(t, wrong)

	awaitState(t, namespace, "old-client", 30*time.Second, "OK", func(s khv1.WorkloadDetails) bool { return s.OK })
	awaitState(t, namespace, "old-client-fails", 30*time.Second, "its own error", func(s khv1.WorkloadDetails) bool {
		return len(s.Errors) == 1 && s.Errors[0] == "told by address"
	})
	for _, name := range []string{"on-the-node", "wrong-uuid"} {
		awaitState(t, namespace, name, 30*time.Second, "no report", func(s khv1.WorkloadDetails) bool {
			return len(s.Errors) == 1 && strings.Contains(s.Errors[0], "ended without reporting in")
		})
		if log := logOf(t, podsOf(t, namespace, name)[0]); strings.TrimSpace(log) != "400" {
			t.Errorf("%s is answered %q, want 400", name, log)
		}
	}
	// The report API of the others does not do this: it is off unless asked for.
	response, err := http.Post(reportBase+"/externalCheckStatus", "application/json", strings.NewReader(`{"OK":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusBadRequest {
		t.Errorf("without the flag: %d %s", response.StatusCode, text)
	}
}
