package cli_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/khronicle/khronicle/deploy"
)

// broken are the faults of the installation that a script causes.
type broken struct{ definition, rights, reviews bool }

// breakInstallation FAULT…: from now on, a definition is missing, a right, or the right to ask for rights.
func breakInstallation(ts *testscript.TestScript, _ bool, args []string) {
	b := &broken{}
	for _, fault := range args {
		switch fault {
		case "definition":
			b.definition = true
		case "rights":
			b.rights = true
		case "reviews":
			b.reviews = true
		default:
			ts.Fatalf("no such fault: %s", fault)
		}
	}
	worldOf(ts).broken.Store(b)
}

// serveInstallation answers what only the command doctor asks for. ok is false for any other request.
func (w *world) serveInstallation(rw http.ResponseWriter, r *http.Request) (ok bool) {
	answer, refusal := w.installed(r)
	if refusal != nil {
		refuse(rw, refusal)
		return true
	}
	if answer == nil {
		return false
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(answer)
	return true
}

func (w *world) installed(r *http.Request) (any, *apierrors.StatusError) {
	b := w.broken.Load()
	path, name := r.URL.Path, r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	switch {
	case path == "/version":
		return map[string]string{"gitVersion": "v1.37.0"}, nil
	case strings.Contains(path, "/customresourcedefinitions/"):
		if b.definition && strings.HasPrefix(name, "khjobs") {
			return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "customresourcedefinitions"}, name)
		}
		return definition(name), nil
	case strings.HasSuffix(path, "accessreviews"):
		if b.reviews && name == "subjectaccessreviews" {
			return nil, apierrors.NewForbidden(schema.GroupResource{Group: "authorization.k8s.io", Resource: name}, "", nil)
		}
		var review authorizationv1.SubjectAccessReview
		_ = json.NewDecoder(r.Body).Decode(&review)
		a := review.Spec.ResourceAttributes
		review.Status.Allowed = !b.rights || a == nil || a.Resource != "pods" || a.Verb != "create"
		return review, nil
	case strings.HasSuffix(path, "/deployments"):
		return appsv1.DeploymentList{}, nil
	case strings.Contains(path, "/serviceaccounts/"):
		return corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, nil
	case strings.HasSuffix(path, "/configmaps/khronicle"):
		return corev1.ConfigMap{Data: map[string]string{"TEMPORAL_ADDRESS": "temporal.example.com:7233"}}, nil
	case strings.HasSuffix(path, "/services/kuberhealthy"):
		return corev1.Service{}, nil
	case strings.HasSuffix(path, "/endpointslices"):
		return discoveryv1.EndpointSliceList{Items: []discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}}}}}, nil
	}
	return nil, nil
}

func definition(name string) any {
	for _, document := range deploy.Documents(deploy.PartCRDs, "") {
		object := map[string]any{}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			panic(err)
		}
		if object["metadata"].(map[string]any)["name"] == name {
			object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Established", "status": "True"}}}
			return object
		}
	}
	return nil
}

// ready answers /readyz as the report API does.
func ready(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	_, _ = rw.Write([]byte(`{"informers":"ok","kubernetes":"ok","temporal":"ok"}`))
}
