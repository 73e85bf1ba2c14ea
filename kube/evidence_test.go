package kube_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/khronicle/khronicle/internal/apitest"
	"github.com/khronicle/khronicle/kube"
)

const (
	keptTail = 64<<10 + 64
	maxRead  = 128 << 20
)

// logServer is an API server with one log. It sends as many of the last lines as the request asks for.
type logServer struct {
	log string
	// endless is written after the log, again and again.
	endless string

	mu      sync.Mutex
	queries []string
}

func (s *logServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.queries = append(s.queries, r.URL.Path+"?"+r.URL.RawQuery)
	s.mu.Unlock()
	lines := strings.SplitAfter(s.log, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	asked, err := strconv.Atoi(r.URL.Query().Get("tailLines"))
	if err != nil || r.URL.Query().Get("container") != "main" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	_, _ = fmt.Fprint(w, strings.Join(lines[max(0, len(lines)-asked):], ""))
	if r.URL.Query().Get("follow") == "true" {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	for s.endless != "" {
		if _, err := fmt.Fprint(w, s.endless); err != nil {
			return
		}
	}
}

func (s *logServer) cluster(t *testing.T) *kube.Cluster {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	cluster, err := kube.New(kube.Options{Config: &rest.Config{Host: server.URL}})
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

func end(text string, n int) string { return text[max(0, len(text)-n):] }

func TestPodLog(t *testing.T) {
	tests := []struct {
		name    string
		log     string
		queries int
		size    int
	}{
		{"empty", "", 1, 0},
		{"short", "one\ntwo\n", 1, 8},
		{"without an end of the line", "one\ntwo", 1, 7},
		{"a few very long lines", strings.Repeat(strings.Repeat("x", 20_000)+"\n", 10), 1, 200_010},
		{"many long lines, of which the last thousand are enough", strings.Repeat(strings.Repeat("y", 99)+"\n", 5_000), 1, 100_000},
		{"many short lines", strings.Repeat("0123456789\n", 50_000), 2, 550_000},
		{"more short lines than are asked for", strings.Repeat("z\n", 100_000), 2, 131_072},
		{"a thousand short lines", strings.Repeat("z\n", 1000), 2, 2000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &logServer{log: tt.log}
			got, err := s.cluster(t).PodLog(t.Context(), "shop", "cart-1", "main")
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Content) != end(tt.log, keptTail) || got.Size != tt.size {
				t.Errorf("%d bytes of %d, want the last %d of %d", len(got.Content), got.Size, min(len(tt.log), keptTail), tt.size)
			}
			if len(s.queries) != tt.queries || !strings.HasPrefix(s.queries[0], "/api/v1/namespaces/shop/pods/cart-1/log?container=main&tailLines=1000") {
				t.Errorf("asked %q, want %d requests", s.queries, tt.queries)
			}
		})
	}
}

func TestPodLogFailsWhenTheLogCannotBeRead(t *testing.T) {
	unread := &logServer{log: "unable to retrieve container logs for containerd://0123"}
	if _, err := unread.cluster(t).PodLog(t.Context(), "shop", "cart-1", "main"); err == nil || !strings.HasSuffix(err.Error(), "the node has no log of it any more") {
		t.Errorf("error %v", err)
	}
	if _, err := unread.cluster(t).PodLog(t.Context(), "shop", "cart-1", "other"); err == nil || !strings.HasPrefix(err.Error(), "read log of container other of pod shop/cart-1: ") {
		t.Errorf("error %v", err)
	}
	endless := &logServer{endless: strings.Repeat("x", 1<<20)}
	if _, err := endless.cluster(t).PodLog(t.Context(), "shop", "cart-1", "main"); err == nil || !strings.HasSuffix(err.Error(), "its last lines are longer than 128 MiB") {
		t.Errorf("error %v, want one after %d bytes", err, maxRead)
	}
}

// When the reader must stop, what was written until then is used.
func TestFollowPodLogUntilTheContextEnds(t *testing.T) {
	s := &logServer{log: strings.Repeat("0123456789\n", 50_000)}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	got, err := s.cluster(t).FollowPodLog(ctx, "shop", "cart-1", "main")
	if err != nil || !got.Cut || got.Size != 44_000 || string(got.Content) != end(s.log, 44_000) {
		t.Errorf("%d bytes of %d, cut %t, error %v, want the last 4000 lines, cut", len(got.Content), got.Size, got.Cut, err)
	}
	if _, err := s.cluster(t).FollowPodLog(t.Context(), "shop", "cart-1", "other"); err == nil {
		t.Error("no error for a container without a log")
	}
}

func TestPodEvents(t *testing.T) {
	var asked string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept"); got != "application/vnd.kubernetes.protobuf,application/json" {
			t.Errorf("core types are requested as %q", got)
		}
		asked = r.URL.Path + " " + r.URL.Query().Get("fieldSelector") + " " + r.URL.Query().Get("limit")
		if strings.Contains(asked, "forbidden") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, `{"kind":"EventList","apiVersion":"v1","items":[{"reason":"Scheduled"}]}`)
	}))
	t.Cleanup(server.Close)
	cluster, err := kube.New(kube.Options{Config: &rest.Config{Host: server.URL}})
	if err != nil {
		t.Fatal(err)
	}
	events, err := cluster.PodEvents(t.Context(), "shop", "cart-1")
	if err != nil || len(events) != 1 || events[0].Reason != "Scheduled" {
		t.Errorf("events are %+v, error %v", events, err)
	}
	if want := "/api/v1/namespaces/shop/events involvedObject.kind=Pod,involvedObject.name=cart-1 200"; asked != want {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if _, err := cluster.PodEvents(t.Context(), "shop", "forbidden"); err == nil || !strings.HasPrefix(err.Error(), "list events of pod shop/forbidden: ") {
		t.Errorf("error %v", err)
	}
}

func TestPodReturnsADeletedPodAsItWasLastSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed, fine := in(checkerPod("cart-1"), corev1.PodFailed), in(checkerPod("cart-2"), corev1.PodSucceeded)
		api := apitest.New(in(checkerPod("cart-1"), corev1.PodRunning), fine)
		cluster := synced(t, api, watching)
		phase := func(name string) corev1.PodPhase {
			if pod, ok := cluster.Pod("shop", name); ok {
				return pod.Status.Phase
			}
			return ""
		}
		want := func(one, two corev1.PodPhase) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff([]corev1.PodPhase{one, two}, []corev1.PodPhase{phase("cart-1"), phase("cart-2")}); diff != "" {
				t.Errorf("pods (-want +got):\n%s", diff)
			}
		}
		want(corev1.PodRunning, corev1.PodSucceeded)
		api.Put(failed)
		want(corev1.PodFailed, corev1.PodSucceeded)
		api.Remove("pods", "shop", "cart-1")
		api.Remove("pods", "shop", "cart-2")
		want(corev1.PodFailed, "")
		for i := range 256 {
			name := fmt.Sprintf("later-%d", i)
			api.Put(in(checkerPod(name), corev1.PodRunning))
			api.Remove("pods", "shop", name)
		}
		want("", "")
		if len(api.Requests().OfOne()) != 0 {
			t.Error("a request was sent")
		}
	})
}

func TestNodeRuntimeIsAskedForOnce(t *testing.T) {
	api := apitest.New(&corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node-1"},
		Status:     corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{ContainerRuntimeVersion: "containerd://1.7.24"}},
	})
	cluster := connect(t, api, kube.Options{})
	for range 2 {
		if got, err := cluster.NodeRuntime(t.Context(), "node-1"); err != nil || got != "containerd://1.7.24" {
			t.Errorf("runtime %q, error %v", got, err)
		}
		if _, err := cluster.NodeRuntime(t.Context(), "node-2"); err == nil || !strings.HasPrefix(err.Error(), "get node node-2: ") {
			t.Errorf("error %v", err)
		}
	}
	want := []string{"GET nodes /node-1", "GET nodes /node-2", "GET nodes /node-2"}
	if diff := cmp.Diff(want, api.Requests().Calls()); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
}
