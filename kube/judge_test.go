package kube_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/kube"
)

// Each question is a strict dry run. Its warnings come back to the caller, and its refusal as it is.
func TestJudgeAsksForADryRun(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		asked = append(asked, r.Method+" "+r.URL.Path+" dryRun="+query.Get("dryRun")+" fieldValidation="+query.Get("fieldValidation"))
		w.Header().Set("Content-Type", "application/json")
		w.Header().Add("Warning", `299 - "about `+r.URL.Path+`"`)
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = json.NewEncoder(w).Encode(metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
			Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity,
		})
	}))
	t.Cleanup(server.Close)
	judge, err := kube.NewJudge(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	meta := metav1.ObjectMeta{Namespace: "shop", Name: "cart"}
	for path, try := range map[string]func() ([]string, error){
		"/apis/comcast.github.io/v1/namespaces/shop/khchecks": func() ([]string, error) {
			return judge.TryCheck(t.Context(), &khv1.KuberhealthyCheck{ObjectMeta: meta})
		},
		"/apis/comcast.github.io/v1/namespaces/shop/khjobs": func() ([]string, error) {
			return judge.TryJob(t.Context(), &khv1.KuberhealthyJob{ObjectMeta: meta})
		},
		"/api/v1/namespaces/shop/pods": func() ([]string, error) {
			return judge.TryPod(t.Context(), &corev1.Pod{ObjectMeta: meta})
		},
	} {
		asked = nil
		warnings, err := try()
		if !apierrors.IsInvalid(err) {
			t.Errorf("%s: error %v, want the refusal", path, err)
		}
		if diff := cmp.Diff([]string{"about " + path}, warnings); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", path, diff)
		}
		if diff := cmp.Diff([]string{"POST " + path + " dryRun=All fieldValidation=Strict"}, asked); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", path, diff)
		}
	}
}
