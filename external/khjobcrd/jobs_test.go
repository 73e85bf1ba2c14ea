package khjobcrd_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/external/khjobcrd"
	"github.com/khronicle/khronicle/internal/apitest"
)

func smoke(name string) *khjobcrd.KuberhealthyJob {
	job := khjobcrd.NewKuberhealthyJob(name, "shop", khjobcrd.JobConfig{Timeout: "5m", PodSpec: corev1.PodSpec{NodeName: "node-1"}})
	return &job
}

func jobsOf(t *testing.T, objects ...runtime.Object) (khjobcrd.KuberhealthyJobInterface, *apitest.Server) {
	t.Helper()
	api := apitest.New(objects...)
	return khjobcrd.NewForConfigOrDie(api.Config()).KuberhealthyJobs("shop"), api
}

func TestJobIsCreatedReadUpdatedAndDeleted(t *testing.T) {
	jobs, api := jobsOf(t)
	created, err := jobs.Create(smoke("smoke"))
	if err != nil || created.UID != "uid-of-smoke" || created.Spec.Timeout != "5m" || created.Spec.Phase != "" {
		t.Fatalf("created %+v, %v", created, err)
	}
	got, err := jobs.Get("smoke", metav1.GetOptions{})
	if diff := cmp.Diff(created, got); err != nil || diff != "" {
		t.Errorf("got %v, and not what was created (-want +got):\n%s", err, diff)
	}
	got.Spec.Phase = khjobcrd.JobRunning
	updated, err := jobs.Update(&got)
	if err != nil || updated.Spec.Phase != khjobcrd.JobRunning || updated.ResourceVersion == created.ResourceVersion {
		t.Errorf("updated %+v, %v", updated, err)
	}
	patched, err := jobs.Patch("smoke", types.MergePatchType, []byte(`{"spec":{"phase":"Completed"}}`))
	if err != nil || patched.Spec.Phase != khjobcrd.JobCompleted || patched.Spec.Timeout != "5m" {
		t.Errorf("patched %+v, %v", patched, err)
	}
	if err := jobs.Delete("smoke", nil); err != nil {
		t.Error(err)
	}
	const job = "namespaces/shop/khjobs/smoke"
	want := []string{"POST namespaces/shop/khjobs", "GET " + job, "PUT " + job, "PATCH " + job, "DELETE " + job}
	if diff := cmp.Diff(want, api.Requests().Paths()); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
}

func TestDeleteWithOptions(t *testing.T) {
	jobs, _ := jobsOf(t)
	created, err := jobs.Create(smoke("smoke"))
	if err != nil {
		t.Fatal(err)
	}
	other := types.UID("uid-of-another")
	if err := jobs.Delete("smoke", &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &other}}); !apierrors.IsConflict(err) {
		t.Errorf("error %v, want a conflict", err)
	}
	if err := jobs.Delete("smoke", &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &created.UID}}); err != nil {
		t.Error(err)
	}
}

func names(t *testing.T, jobs khjobcrd.KuberhealthyJobInterface, o metav1.ListOptions) []string {
	t.Helper()
	list, err := jobs.List(o)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, job := range list.Items {
		all = append(all, job.Name)
	}
	return all
}

func TestListAndDeleteCollection(t *testing.T) {
	fire := smoke("fire")
	fire.Labels = map[string]string{"team": "till"}
	ofTill := metav1.ListOptions{LabelSelector: "team=till"}
	elsewhere := smoke("smoke")
	elsewhere.Namespace = "bank"
	jobs, api := jobsOf(t, smoke("smoke"), fire, elsewhere)
	if diff := cmp.Diff([]string{"fire", "smoke"}, names(t, jobs, metav1.ListOptions{})); diff != "" {
		t.Errorf("jobs differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"fire"}, names(t, jobs, ofTill)); diff != "" {
		t.Errorf("selected jobs differ (-want +got):\n%s", diff)
	}
	if err := jobs.DeleteCollection(nil, ofTill); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"smoke"}, names(t, jobs, metav1.ListOptions{})); diff != "" {
		t.Errorf("jobs left differ (-want +got):\n%s", diff)
	}
	all := khjobcrd.NewForConfigOrDie(api.Config()).KuberhealthyJobs("")
	if got := names(t, all, metav1.ListOptions{}); len(got) != 2 {
		t.Errorf("jobs of all namespaces are %v, want two", got)
	}
}

func TestWatchSeesEachChangeUntilItIsStopped(t *testing.T) {
	jobs, api := jobsOf(t)
	seconds := int64(300)
	watched, err := jobs.Watch(metav1.ListOptions{TimeoutSeconds: &seconds})
	if err != nil {
		t.Fatal(err)
	}
	defer watched.Stop()
	if got := api.Requests().Paths(); len(got) != 1 || !strings.Contains(got[0], "watch=true") || !strings.Contains(got[0], "timeoutSeconds=300") {
		t.Errorf("requests %v, want a watch of 300 s", got)
	}
	expect := func(want watch.EventType, phase khjobcrd.JobPhase) {
		t.Helper()
		e := <-watched.ResultChan()
		if job, ok := e.Object.(*khv1.KuberhealthyJob); !ok || e.Type != want || job.Name != "smoke" || job.Spec.Phase != phase {
			t.Errorf("saw %s of %+v, want %s in phase %q", e.Type, e.Object, want, phase)
		}
	}
	created, err := jobs.Create(smoke("smoke"))
	if err != nil {
		t.Fatal(err)
	}
	expect(watch.Added, "")
	created.Spec.Phase = khjobcrd.JobRunning
	if _, err := jobs.Update(&created); err != nil {
		t.Fatal(err)
	}
	expect(watch.Modified, khjobcrd.JobRunning)
	if err := jobs.Delete("smoke", nil); err != nil {
		t.Fatal(err)
	}
	expect(watch.Deleted, khjobcrd.JobRunning)
	watched.Stop()
	for e := range watched.ResultChan() { // until it is closed
		if e.Type != watch.Error { // client-go may say that it closed the connection
			t.Errorf("saw %v after the watch was stopped", e)
		}
	}
}

// With an error, the object is empty.
func TestErrorsAreThoseOfTheAPIServer(t *testing.T) {
	jobs, api := jobsOf(t, smoke("smoke"))
	tests := map[string]func() (any, error){
		"Create": func() (any, error) { return jobs.Create(smoke("smoke")) },
		"Update": func() (any, error) { return jobs.Update(smoke("smoke")) },
		"Get":    func() (any, error) { return jobs.Get("smoke", metav1.GetOptions{}) },
		"List":   func() (any, error) { return jobs.List(metav1.ListOptions{}) },
		"Watch":  func() (any, error) { return jobs.Watch(metav1.ListOptions{}) },
		"Patch": func() (any, error) {
			return jobs.Patch("smoke", types.MergePatchType, []byte(`{}`))
		},
		"Delete":           func() (any, error) { return nil, jobs.Delete("smoke", nil) },
		"DeleteCollection": func() (any, error) { return nil, jobs.DeleteCollection(nil, metav1.ListOptions{}) },
	}
	empty := map[string]any{"List": khjobcrd.KuberhealthyJobList{}, "Watch": nil, "Delete": nil, "DeleteCollection": nil}
	api.Refuse(apierrors.NewForbidden(schema.GroupResource{Group: "comcast.github.io", Resource: "khjobs"}, "smoke", nil))
	for name, call := range tests {
		object, err := call()
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want that it is forbidden", name, err)
		}
		want, ok := empty[name]
		if !ok {
			want = khjobcrd.KuberhealthyJob{}
		}
		if diff := cmp.Diff(want, object); diff != "" {
			t.Errorf("%s returned (-want +got):\n%s", name, diff)
		}
	}
	api.Refuse(nil)
	if _, err := jobs.Get("fire", metav1.GetOptions{}); !apierrors.IsNotFound(err) || err.Error() != `khjobs.comcast.github.io "fire" not found` {
		t.Errorf("error %v", err)
	}
	stale := smoke("smoke")
	stale.ResourceVersion = "0"
	if _, err := jobs.Update(stale); !apierrors.IsConflict(err) {
		t.Errorf("error %v, want a conflict", err)
	}
}
