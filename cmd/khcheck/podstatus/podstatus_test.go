package podstatus_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/khronicle/khronicle/cmd/khcheck/podstatus"
	"github.com/khronicle/khronicle/cmd/khcheck/settings"
)

// apiServer lists pods as the API server does: by namespace, selected by label, in pages. It is the whole of what the
// check asks, and unlike client-go's fake it has pages and refuses.
type apiServer struct {
	pods    []*corev1.Pod
	pages   int
	refused bool
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if a.refused {
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
			Status:   "Failure", Reason: metav1.StatusReasonForbidden, Code: 403, Message: "pods is forbidden",
		})
		return
	}
	a.pages++
	_ = json.NewEncoder(w).Encode(a.page(r))
}

func (a *apiServer) page(r *http.Request) corev1.PodList {
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
	query := r.URL.Query()
	selector, err := labels.Parse(query.Get("labelSelector"))
	if err != nil {
		panic(err)
	}
	for _, pod := range a.pods {
		everywhere := r.URL.Path == "/api/v1/pods"
		here := everywhere || r.URL.Path == "/api/v1/namespaces/"+pod.Namespace+"/pods"
		if here && selector.Matches(labels.Set(pod.Labels)) {
			list.Items = append(list.Items, *pod)
		}
	}
	from, _ := strconv.Atoi(query.Get("continue"))
	limit, _ := strconv.Atoi(query.Get("limit"))
	if to := from + limit; limit > 0 && to < len(list.Items) {
		list.Items, list.Continue = list.Items[:to], strconv.Itoa(to)
	}
	list.Items = list.Items[from:]
	return list
}

func (a *apiServer) client(t *testing.T) typedcorev1.PodsGetter {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	client, err := typedcorev1.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
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
	api := &apiServer{pods: []*corev1.Pod{
		newPod("healthy", corev1.PodStatus{Phase: corev1.PodRunning}),
		pending("shop", "web", nil),
		pending("bank", "db", map[string]string{"app": "db"}),
		pending("bank", "check", map[string]string{"app": "kuberhealthy-check"}),
		pending("bank", "target", map[string]string{"source": "kuberhealthy"}),
	}}
	const web = "pod: web in namespace: shop is in pod status phase Pending "
	const db = "pod: db in namespace: bank is in pod status phase Pending "
	tests := []struct {
		name, namespace string
		want            []string
	}{
		{"all namespaces, without the pods of checks", "", []string{web, db}},
		{"one namespace", "bank", []string{db}},
		{"empty namespace", "void", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := podstatus.Config{Namespace: test.namespace, Patience: patience}
			if diff := cmp.Diff(test.want, c.Look(t.Context(), api.client(t), now)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLookReadsAllPagesAndNamesAHundredPods(t *testing.T) {
	api := &apiServer{}
	for i := range 1100 {
		api.pods = append(api.pods, pending("shop", fmt.Sprintf("web-%d", i), nil))
	}

	got := podstatus.Config{Patience: patience}.Look(t.Context(), api.client(t), now)

	if api.pages != 3 {
		t.Errorf("got %d pages, want 3", api.pages)
	}
	if len(got) != 101 || got[100] != "and 1000 further pods are not healthy" {
		t.Errorf("got %d faults, the last %q", len(got), got[len(got)-1])
	}
}

func TestLookSaysThatItMayNotLook(t *testing.T) {
	api := &apiServer{refused: true}
	tests := []struct{ namespace, want string }{
		{"", "list pods in all namespaces: pods is forbidden"},
		{"shop", "list pods in namespace shop: pods is forbidden"},
	}
	for _, test := range tests {
		got := podstatus.Config{Namespace: test.namespace}.Look(t.Context(), api.client(t), now)
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
			[]string{`SKIP_DURATION="ten": want a duration that is not negative, such as 90s, 10m or 1h30m`},
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
