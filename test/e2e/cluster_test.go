//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/retry"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/protocol"
)

// clients are the test's own way to the API server.
type clients struct {
	core  *kubernetes.Clientset
	group rest.Interface
	codec runtime.ParameterCodec
}

func newClients(kubeconfig string) (*clients, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.UserAgent, config.QPS, config.Burst = "khronicle-e2e", 500, 1000
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := khv1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config.GroupVersion, config.APIPath = &khv1.GroupVersion, "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	group, err := rest.RESTClientFor(config)
	return &clients{core: core, group: group, codec: runtime.NewParameterCodec(scheme)}, err
}

func (c *clients) checks(namespace string) *gentype.Client[*khv1.KuberhealthyCheck] {
	return gentype.NewClient(khv1.CheckResource, c.group, c.codec, namespace,
		func() *khv1.KuberhealthyCheck { return &khv1.KuberhealthyCheck{} })
}

func (c *clients) jobs(namespace string) *gentype.Client[*khv1.KuberhealthyJob] {
	return gentype.NewClient(khv1.JobResource, c.group, c.codec, namespace,
		func() *khv1.KuberhealthyJob { return &khv1.KuberhealthyJob{} })
}

func (c *clients) states(namespace string) *gentype.Client[*khv1.KuberhealthyState] {
	return gentype.NewClient(khv1.StateResource, c.group, c.codec, namespace,
		func() *khv1.KuberhealthyState { return &khv1.KuberhealthyState{} })
}

// newNamespace makes a namespace for the test and deletes it when the test ends.
func newNamespace(t testing.TB) string {
	t.Helper()
	name := "e2e-" + uuid.NewString()[:8]
	makeNamespace(t, name)
	awaitPods(t, name)
	return name
}

// awaitPods waits until pods can start in a new namespace.
func awaitPods(t testing.TB, name string) {
	t.Helper()
	eventually(t, 10*time.Second, "the namespace has what pods of it mount", func() (bool, string) {
		_, err := under.kube.core.CoreV1().ServiceAccounts(name).Get(t.Context(), "default", getOptions)
		if err == nil {
			_, err = under.kube.core.CoreV1().ConfigMaps(name).Get(t.Context(), "kube-root-ca.crt", getOptions)
		}
		return err == nil, fmt.Sprint(err)
	})
}

func makeNamespace(t testing.TB, name string) {
	t.Helper()
	namespaces := under.kube.core.CoreV1().Namespaces()
	wanted := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := namespaces.Create(t.Context(), wanted, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := namespaces.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil && !gone(err) {
			t.Error(err)
		}
	})
}

// env is the behaviour of the demo check; see cmd/khcheck/demo.
type env map[string]string

func demoPod(behaviour env) corev1.PodSpec {
	container := corev1.Container{
		Name: "check", Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Args: []string{"demo"},
	}
	for name, value := range behaviour {
		container.Env = append(container.Env, corev1.EnvVar{Name: name, Value: value})
	}
	return corev1.PodSpec{Containers: []corev1.Container{container}}
}

// demoCheck is a check that runs once in an hour, unless changed: so a test sees its first run alone.
func demoCheck(namespace, name string, behaviour env) *khv1.KuberhealthyCheck {
	return &khv1.KuberhealthyCheck{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       khv1.CheckConfig{RunInterval: "1h", Timeout: "60s", PodSpec: demoPod(behaviour)},
	}
}

func demoJob(namespace, name string, behaviour env) *khv1.KuberhealthyJob {
	return &khv1.KuberhealthyJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       khv1.JobConfig{Timeout: "60s", PodSpec: demoPod(behaviour)},
	}
}

func apply(t testing.TB, c *khv1.KuberhealthyCheck) {
	t.Helper()
	if _, err := under.kube.checks(c.Namespace).Create(t.Context(), c, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func applyJob(t testing.TB, j *khv1.KuberhealthyJob) {
	t.Helper()
	if _, err := under.kube.jobs(j.Namespace).Create(t.Context(), j, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// edit changes a check as a user would. The status may change meanwhile.
func edit(t testing.TB, namespace, name string, change func(*khv1.KuberhealthyCheck)) {
	t.Helper()
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		present, err := under.kube.checks(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(present)
		_, err = under.kube.checks(namespace).Update(t.Context(), present, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// awaitState waits for a state that satisfies the condition.
func awaitState(t testing.TB, namespace, name string, within time.Duration, what string, ok func(khv1.WorkloadDetails) bool) khv1.WorkloadDetails {
	t.Helper()
	var found khv1.WorkloadDetails
	eventually(t, within, "khstate "+namespace+"/"+name+": "+what, func() (bool, string) {
		state, err := under.kube.states(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		found = state.Spec
		return ok(found), fmt.Sprintf("%+v", found)
	})
	return found
}

func anyState(khv1.WorkloadDetails) bool { return true }

// podsOf returns the checker pods of a check.
func podsOf(t testing.TB, namespace, name string) []corev1.Pod {
	t.Helper()
	pods, err := under.kube.core.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: protocol.LabelCheckName + "=" + name})
	if err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

// awaitPod waits for the only pod of a check to be in a phase.
func awaitPod(t testing.TB, namespace, name string, phase corev1.PodPhase) corev1.Pod {
	t.Helper()
	var found corev1.Pod
	eventually(t, 30*time.Second, fmt.Sprintf("pod of %s/%s is %s", namespace, name, phase), func() (bool, string) {
		pods := podsOf(t, namespace, name)
		if len(pods) != 1 {
			return false, fmt.Sprintf("%d pods", len(pods))
		}
		found = pods[0]
		return found.Status.Phase == phase, string(found.Status.Phase)
	})
	return found
}

var getOptions = metav1.GetOptions{}

func gone(err error) bool { return apierrors.IsNotFound(err) }

// patience is a factor for the time that a test waits. The base is what a quiet machine needs. A busy machine may need
// more, and only a failure takes all of it. Benchmarks show how fast Khronicle is.
const patience = 3

// eventually waits until f is true; f also says what it saw, for the failure's text. It is asked all the time: a wait that may be
// much longer than needed costs nothing.
func eventually(t testing.TB, within time.Duration, what string, f func() (bool, string)) {
	t.Helper()
	saw := ""
	for end := time.Now().Add(patience * within); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var ok bool
		if ok, saw = f(); ok {
			return
		}
	}
	t.Fatalf("not seen within %s: %s; last: %s", patience*within, what, saw)
}

// named fills in the name of a check where a text has NS/NAME.
func named(text, namespace, name string) string {
	return strings.ReplaceAll(text, "NS/NAME", namespace+"/"+name)
}

// evict removes a pod as a drain does.
func evict(t testing.TB, pod corev1.Pod) {
	t.Helper()
	err := under.kube.core.CoreV1().Pods(pod.Namespace).EvictV1(t.Context(), &policyv1.Eviction{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
	})
	if err != nil && !apierrors.IsNotFound(err) { // its run may have ended meanwhile
		t.Fatal(err)
	}
}
