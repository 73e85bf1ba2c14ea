//go:build e2e

package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/needs"
)

var imagesDir = flag.String("images", "../../.state/images", "folder with the archives of the images, which make e2e builds")

// loadProduct loads the archive of an image that make image built, and returns its name on the node.
func loadProduct(t *testing.T, name string) string {
	t.Helper()
	archive := filepath.Join(*imagesDir, name+".tar")
	if _, err := os.Stat(archive); err != nil {
		needs.Missing(t, "no image: %v; make e2e builds it", err)
	}
	ref := "khronicle/" + name + ":e2e"
	if _, err := under.kubebox("load-image", ref, archive); err != nil {
		t.Fatal(err)
	}
	return ref
}

// restricted makes a namespace whose pods have to be as Kubernetes' strictest Pod Security Standard demands.
func restricted(t *testing.T) string {
	t.Helper()
	namespace := newNamespace(t)
	const label = "pod-security.kubernetes.io/enforce=restricted"
	if _, err := under.kubebox("kubectl", "label", "namespace", namespace, label); err != nil {
		t.Fatal(err)
	}
	return namespace
}

// confined is a container that may do nothing, with a root file system that it cannot write.
func confined(image string, args ...string) corev1.Container {
	yes, no := true, false
	return corev1.Container{
		Name: "main", Image: image, ImagePullPolicy: corev1.PullNever, Args: args,
		SecurityContext: &corev1.SecurityContext{
			RunAsNonRoot: &yes, ReadOnlyRootFilesystem: &yes, AllowPrivilegeEscalation: &no,
			Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
}

func createPod(t *testing.T, namespace, name string, spec corev1.PodSpec) {
	t.Helper()
	spec.RestartPolicy = corev1.RestartPolicyNever
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	if _, err := under.kube.core.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitContainer waits for the only container of a pod to be as the condition says.
func awaitContainer(t *testing.T, namespace, name, what string, ok func(corev1.ContainerStatus) bool) corev1.Pod {
	t.Helper()
	var found corev1.Pod
	eventually(t, 30*time.Second, "pod "+namespace+"/"+name+" "+what, func() (bool, string) {
		pod, err := under.kube.core.CoreV1().Pods(namespace).Get(t.Context(), name, getOptions)
		if err != nil || len(pod.Status.ContainerStatuses) != 1 {
			return false, fmt.Sprint(err)
		}
		found = *pod
		return ok(pod.Status.ContainerStatuses[0]), fmt.Sprintf("%+v", pod.Status.ContainerStatuses[0].State)
	})
	return found
}

// TestImagesRunAsNonRootWithAReadOnlyRoot runs the images as make image makes them. The kubelet refuses a user that it cannot
// see to be another than root, and the API server refuses pods that ask for rights.
func TestImagesRunAsNonRootWithAReadOnlyRoot(t *testing.T) {
	t.Parallel()
	namespace := restricted(t)
	t.Run("khronicle", func(t *testing.T) {
		createPod(t, namespace, "khronicle", corev1.PodSpec{Containers: []corev1.Container{confined(loadProduct(t, "khronicle"), "--version")}})
		pod := awaitContainer(t, namespace, "khronicle", "ended", func(s corev1.ContainerStatus) bool {
			return s.State.Terminated != nil && s.State.Terminated.ExitCode == 0
		})
		if got := logOf(t, pod); !strings.HasPrefix(got, "khronicle version ") {
			t.Errorf("khronicle --version says %q", got)
		}
	})
	t.Run("khcheck", func(t *testing.T) {
		spec := corev1.PodSpec{Containers: []corev1.Container{confined(loadProduct(t, "khcheck"), "demo")}}
		apply(t, &khv1.KuberhealthyCheck{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "confined"},
			Spec:       khv1.CheckConfig{RunInterval: "1h", Timeout: "60s", PodSpec: spec},
		})
		awaitState(t, namespace, "confined", 30*time.Second, "OK", func(s khv1.WorkloadDetails) bool { return s.OK })
	})
	t.Run("temporal", func(t *testing.T) {
		group := int64(65532)
		container := confined(loadProduct(t, "temporal"), "server", "start-dev", "--headless", "--ip", "0.0.0.0", "--db-filename", "/data/temporal.db")
		container.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
		health := []string{"/temporal", "operator", "cluster", "health"}
		container.ReadinessProbe = &corev1.Probe{PeriodSeconds: 1, TimeoutSeconds: 10, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: health}}}
		createPod(t, namespace, "temporal", corev1.PodSpec{
			SecurityContext: &corev1.PodSecurityContext{FSGroup: &group},
			Containers:      []corev1.Container{container},
			Volumes:         []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		})
		awaitContainer(t, namespace, "temporal", "answers", func(s corev1.ContainerStatus) bool { return s.Ready })
	})
}
