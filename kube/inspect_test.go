package kube_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/apitest"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/kube"
)

// inspect returns an inspector of a server that answers by these routes.
func inspect(t *testing.T, routes map[string]http.HandlerFunc) *kube.Inspector {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, handler := range routes {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			handler(w, r)
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	inspector, err := kube.NewInspector(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return inspector
}

func TestInspectorReadsVersionAndClock(t *testing.T) {
	status := http.StatusOK
	inspector := inspect(t, map[string]http.HandlerFunc{"GET /version": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", "Sun, 01 Mar 2026 12:00:00 GMT")
		w.WriteHeader(status)
		fmt.Fprint(w, `{"gitVersion":"v1.37.2","message":"who are you"}`)
	}})
	version, date, err := inspector.Version(t.Context())
	if version != "v1.37.2" || date != "Sun, 01 Mar 2026 12:00:00 GMT" || err != nil {
		t.Errorf("%s, %s, %v", version, date, err)
	}
	status = http.StatusUnauthorized
	if _, _, err := inspector.Version(t.Context()); err == nil || !strings.Contains(err.Error(), "401 Unauthorized: who are you") {
		t.Errorf("error %v", err)
	}
}

// The reviews say who it is about, and what.
func TestInspectorAsksForRights(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		review.Status.Allowed = review.Spec.ResourceAttributes != nil && review.Spec.ResourceAttributes.Subresource == "proxy" ||
			review.Spec.User == "system:serviceaccount:health:worker" && len(review.Spec.Groups) == 3 && review.Spec.NonResourceAttributes != nil
		_ = json.NewEncoder(w).Encode(review)
	}
	inspector := inspect(t, map[string]http.HandlerFunc{
		"POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews": answer, "POST /apis/authorization.k8s.io/v1/subjectaccessreviews": answer,
	})
	path := kube.Right{Verb: "get", Path: "/readyz"}
	proxy := kube.Right{Verb: "get", Resource: "services", Subresource: "proxy", Namespace: "health"}
	for _, test := range []struct {
		ask  func() (bool, error)
		want bool
	}{
		{func() (bool, error) { return inspector.MayI(t.Context(), proxy) }, true},
		{func() (bool, error) { return inspector.MayI(t.Context(), path) }, false},
		{func() (bool, error) { return inspector.MayAccount(t.Context(), "health", "worker", path) }, true},
		{func() (bool, error) { return inspector.MayAccount(t.Context(), "health", "starter", path) }, false},
	} {
		if got, err := test.ask(); got != test.want || err != nil {
			t.Errorf("%t, %v, want %t", got, err, test.want)
		}
	}
	for right, want := range map[kube.Right]string{path: "get /readyz", proxy: "get services/proxy in health", {Verb: "create", Group: "events.k8s.io", Resource: "events"}: "create events.events.k8s.io"} {
		if right.String() != want {
			t.Errorf("%s, want %s", right, want)
		}
	}
}

func TestInspectorCountsReadyEndpoints(t *testing.T) {
	inspector := inspect(t, map[string]http.HandlerFunc{
		"GET /api/v1/namespaces/health/services/there": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"kind":"Service","apiVersion":"v1"}`) },
		"GET /api/v1/namespaces/health/services/none": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
		},
		"GET /apis/discovery.k8s.io/v1/namespaces/health/endpointslices": func(w http.ResponseWriter, r *http.Request) {
			if got := r.URL.Query().Get("labelSelector"); got != "kubernetes.io/service-name=there" {
				t.Errorf("selector %s", got)
			}
			_ = json.NewEncoder(w).Encode(discoveryv1.EndpointSliceList{Items: []discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{
				{Addresses: []string{"192.0.2.1"}}, {Addresses: []string{"192.0.2.2"}, Conditions: discoveryv1.EndpointConditions{Ready: new(false)}},
			}}}})
		},
	})
	if ready, exists, err := inspector.ReadyEndpoints(t.Context(), "health", "there"); ready != 1 || !exists || err != nil {
		t.Errorf("%d, %t, %v", ready, exists, err)
	}
	if _, exists, err := inspector.ReadyEndpoints(t.Context(), "health", "none"); exists || err != nil {
		t.Errorf("%t, %v", exists, err)
	}
}

func inspectorOf(t *testing.T, server *apitest.Server) *kube.Inspector {
	t.Helper()
	inspector, err := kube.NewInspector(server.Config())
	if err != nil {
		t.Fatal(err)
	}
	return inspector
}

func TestInspectorReadsAllPages(t *testing.T) {
	server := apitest.New()
	for n := range 501 {
		meta := metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("c", n), CreationTimestamp: metav1.NewTime(time.Unix(int64(n), 0)), Labels: map[string]string{protocol.LabelCheckName: "c"}}
		kind := metav1.TypeMeta{APIVersion: khv1.GroupVersion.String(), Kind: khv1.CheckKind}
		server.Put(&khv1.KuberhealthyCheck{TypeMeta: kind, ObjectMeta: meta}, &corev1.Pod{ObjectMeta: meta})
	}
	inspector := inspectorOf(t, server)
	for namespaces, want := range map[string]int{"": 501, "shop": 501, "net": 0, "net,shop": 501} {
		var wanted []string
		if namespaces != "" {
			wanted = strings.Split(namespaces, ",")
		}
		if checks, err := inspector.Checks(t.Context(), wanted); len(checks) != want || err != nil {
			t.Errorf("%q: %d checks, %v, want %d", namespaces, len(checks), err, want)
		}
		pod, err := inspector.NewestCheckerPod(t.Context(), wanted)
		if err != nil || (pod == nil) != (want == 0) || pod != nil && pod.Name != "c500" {
			t.Errorf("%q: newest pod %v, %v", namespaces, pod, err)
		}
	}
}

// The pod is deleted when it has ended, and when its time is over.
func TestInspectorRunsAPodAndDeletesIt(t *testing.T) {
	for _, phase := range []corev1.PodPhase{corev1.PodSucceeded, corev1.PodFailed, corev1.PodPending} {
		t.Run(string(phase), func(t *testing.T) {
			server := apitest.New()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			server.SetAnswer(func(r *http.Request) *apierrors.StatusError {
				if r.Method == http.MethodGet {
					server.Put(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "probe"}, Status: corev1.PodStatus{Phase: phase}})
					if phase == corev1.PodPending {
						cancel()
					}
				}
				return nil
			})
			seen, err := inspectorOf(t, server).RunPod(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "probe"}})
			if err != nil || phase != corev1.PodPending && seen.Status.Phase != phase {
				t.Errorf("%v, %v", seen, err)
			}
			if left := server.Count("pods"); left != 0 {
				t.Errorf("%d pods are left", left)
			}
		})
	}
}
