package reportapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/kube"
)

// resources are the objects of one kind in a cluster that never changes.
type resources struct {
	kind    string
	objects []any
}

// apiServer serves resources to the informers of package kube, each as a stream that begins with all that there is.
func apiServer(t *testing.T, served map[string]resources) *rest.Config {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wanted, ok := served[path.Base(r.URL.Path)]
		if !ok || r.URL.Query().Get("sendInitialEvents") != "true" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		send := func(kind string, object any) {
			if err := json.NewEncoder(w).Encode(map[string]any{"type": kind, "object": object}); err != nil {
				t.Errorf("send %s: %v", r.URL.Path, err)
			}
		}
		for _, object := range wanted.objects {
			send("ADDED", object)
		}
		send("BOOKMARK", metav1.PartialObjectMetadata{
			TypeMeta: metav1.TypeMeta{APIVersion: khv1.GroupVersion.String(), Kind: wanted.kind},
			ObjectMeta: metav1.ObjectMeta{
				ResourceVersion: "1", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"},
			},
		})
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}
}

// left is a state as Kuberhealthy v2 left it: without khWorkload, with the UUID of its last run.
func left(name string, errors ...string) *khv1.KuberhealthyState {
	s := state("ns", name, "", errors...)
	s.TypeMeta = metav1.TypeMeta{APIVersion: khv1.GroupVersion.String(), Kind: khv1.StateKind}
	s.Spec.KHWorkload, s.Spec.AuthoritativePod = nil, "kuberhealthy-7d9c8"
	return s
}

// Kuberhealthy never writes whether a state is a check's or a job's: which of the two resources there is tells it. Its last
// outcomes hold until the next are overdue.
func TestStatesThatKuberhealthyLeft(t *testing.T) {
	object := func(kind, name string) metav1.PartialObjectMetadata {
		return metav1.PartialObjectMetadata{
			TypeMeta: metav1.TypeMeta{APIVersion: khv1.GroupVersion.String(), Kind: kind},
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "ns", Name: name, ResourceVersion: "1", CreationTimestamp: metav1.NewTime(noon.Add(-time.Minute)),
			},
		}
	}
	said := left("said-job")
	said.Spec.KHWorkload = new(khv1.KHWorkload)
	*said.Spec.KHWorkload = khv1.KHJob
	cluster, err := kube.New(kube.Options{Checks: true, Jobs: true, States: true, Config: apiServer(t, map[string]resources{
		khv1.CheckResource: {khv1.CheckKind, []any{object(khv1.CheckKind, "check"), object(khv1.CheckKind, "both")}},
		khv1.JobResource:   {khv1.JobKind, []any{object(khv1.JobKind, "job"), object(khv1.JobKind, "both")}},
		khv1.StateResource: {khv1.StateKind, []any{
			left("check"), left("job", "the job failed"), left("both"), left("gone", "its check and its job are gone"), said,
		}},
	})})
	if err != nil {
		t.Fatal(err)
	}
	cluster.Start(t.Context())
	if err := cluster.WaitForSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, after := range map[string]time.Duration{"migrated": 30 * time.Second, "migrated-unknown": time.Hour} {
		o := options(&fakeTemporal{}, nil)
		o.States, o.Synced, o.Now = cluster, cluster.Synced, func() time.Time { return noon.Add(after) }
		golden(t, name+".golden", shown(t, start(t, o)))
	}
}
