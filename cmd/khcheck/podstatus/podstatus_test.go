package podstatus_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/khronicle/khronicle/cmd/khcheck/podstatus"
	"github.com/khronicle/khronicle/cmd/khcheck/settings"
	"github.com/khronicle/khronicle/internal/apitest"
)

func podsOf(t *testing.T, api *apitest.Server) typedcorev1.PodsGetter {
	t.Helper()
	client, err := typedcorev1.NewForConfig(api.Config())
	if err != nil {
		t.Fatalf("client: %v", err)
	}
	return client
}

// pending returns a pod that has been pending for an hour.
func pending(namespace, name string, set map[string]string) *corev1.Pod {
	pod := newPod(name, corev1.PodStatus{Phase: corev1.PodPending})
	pod.Namespace, pod.Labels = namespace, set
	return pod
}

func TestLook(t *testing.T) {
	api := apitest.New(
		newPod("healthy", corev1.PodStatus{Phase: corev1.PodRunning}),
		pending("shop", "web", nil),
		pending("bank", "db", map[string]string{"app": "db"}),
		pending("bank", "check", map[string]string{"app": "kuberhealthy-check"}),
		pending("bank", "target", map[string]string{"source": "kuberhealthy"}),
	)
	const web = "pod: web in namespace: shop is in pod status phase Pending "
	const db = "pod: db in namespace: bank is in pod status phase Pending "
	tests := []struct {
		name, namespace string
		want            []string
	}{
		{"all namespaces, without the pods of checks", "", []string{db, web}},
		{"one namespace", "bank", []string{db}},
		{"empty namespace", "void", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := podstatus.Config{Namespace: test.namespace, Patience: patience}
			if diff := cmp.Diff(test.want, c.Look(t.Context(), podsOf(t, api), now)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLookReadsAllPagesAndNamesAHundredPods(t *testing.T) {
	api := apitest.New()
	for i := range 1100 {
		api.Put(pending("shop", fmt.Sprintf("web-%d", i), nil))
	}

	got := podstatus.Config{Patience: patience}.Look(t.Context(), podsOf(t, api), now)

	if pages := api.Requests(); len(pages) != 3 {
		t.Errorf("read %d pages, want 3", len(pages))
	}
	if len(got) != 101 || got[100] != "and 1000 further pods are not healthy" {
		t.Errorf("got %d faults, the last %q", len(got), got[len(got)-1])
	}
}

func TestLookSaysThatItMayNotLook(t *testing.T) {
	api := apitest.New()
	api.Refuse(apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no role allows it")))
	tests := []struct{ namespace, want string }{
		{"", "list pods in all namespaces: pods is forbidden: no role allows it"},
		{"shop", "list pods in namespace shop: pods is forbidden: no role allows it"},
	}
	for _, test := range tests {
		got := podstatus.Config{Namespace: test.namespace}.Look(t.Context(), podsOf(t, api), now)
		if diff := cmp.Diff([]string{test.want}, got); diff != "" {
			t.Errorf("faults (-want +got):\n%s", diff)
		}
	}
}

func TestRunOutsideAClusterIsAFault(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	got := podstatus.Config{}.Run(t.Context())
	if len(got) != 1 || !strings.HasPrefix(got[0], "connect to the API server: ") {
		t.Errorf("got faults %q, want that there is no API server", got)
	}
}

func TestFromEnv(t *testing.T) {
	tests := []struct {
		name     string
		env      map[string]string
		want     podstatus.Config
		problems []string
	}{
		{"defaults", nil, podstatus.Config{Patience: 10 * time.Minute}, nil},
		{
			"set",
			map[string]string{"TARGET_NAMESPACE": "shop", "SKIP_DURATION": "0s"},
			podstatus.Config{Namespace: "shop"},
			nil,
		},
		{
			"wrong",
			map[string]string{"SKIP_DURATION": "ten"},
			podstatus.Config{Patience: 10 * time.Minute},
			[]string{`SKIP_DURATION="ten": want a duration that is not negative, such as 90s, 10m or, for a day, 24h`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			env := settings.New(func(name string) string { return test.env[name] })
			if diff := cmp.Diff(test.want, podstatus.FromEnv(env)); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.problems, env.Problems()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
