// Package apitest is an API server of checks, jobs and states in memory, for the tests of what is below external. It
// speaks HTTP, keeps what it is given, and refuses what a real one refuses of custom resources without a status.
package apitest

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// kinds are the resources that the server has.
var kinds = map[string]string{
	khv1.CheckResource: khv1.CheckKind,
	khv1.JobResource:   khv1.JobKind,
	khv1.StateResource: khv1.StateKind,
}

// Server is an API server. Its methods are safe for concurrent use.
type Server struct {
	url string

	mu       sync.Mutex
	version  int
	objects  map[key]*unstructured.Unstructured
	events   []event
	changed  chan struct{} // closed at each change
	requests []string
	refusal  *apierrors.StatusError
}

type key struct{ resource, namespace, name string }

type event struct {
	version int
	key     key
	Type    string                     `json:"type"`
	Object  *unstructured.Unstructured `json:"object"`
}

// New starts a server that has these objects and runs until the end of the test.
func New(t testing.TB, objects ...runtime.Object) *Server {
	t.Helper()
	s := &Server{objects: map[key]*unstructured.Unstructured{}, changed: make(chan struct{})}
	for _, object := range objects {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		if err != nil {
			t.Fatal(err)
		}
		u := &unstructured.Unstructured{Object: content}
		for resource, kind := range kinds {
			if kind == u.GetKind() {
				s.store(key{resource, u.GetNamespace(), u.GetName()}, u)
			}
		}
	}
	server := httptest.NewServer(s.handler())
	t.Cleanup(func() {
		server.CloseClientConnections() // ends the watches
		server.Close()
	})
	s.url = server.URL
	return s
}

// Config is the configuration of a client of the server.
func (s *Server) Config() *rest.Config { return &rest.Config{Host: s.url} }

// Kubeconfig writes a kubeconfig file for the server and returns its path. From then on, the test is not in a cluster.
func (s *Server) Kubeconfig(t *testing.T) string {
	t.Helper()
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: s.url}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test"}
	config.CurrentContext = "test"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Requests returns the requests since the last call as "METHOD path?query", the path without that of the API group.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := s.requests
	s.requests = nil
	return requests
}

// Refuse makes the server answer every request with that error. Nil makes it answer again.
func (s *Server) Refuse(refusal *apierrors.StatusError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = refusal
}

func (s *Server) note(r *http.Request, path string) *apierrors.StatusError {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	s.requests = append(s.requests, r.Method+" "+path)
	return s.refusal
}

func (s *Server) store(k key, object *unstructured.Unstructured) *unstructured.Unstructured {
	kind := "ADDED"
	if _, exists := s.objects[k]; exists {
		kind = "MODIFIED"
	}
	s.objects[k] = object
	return s.tell(k, kind, object)
}

func (s *Server) drop(k key) {
	object := s.objects[k].DeepCopy()
	delete(s.objects, k)
	s.tell(k, "DELETED", object)
}

func (s *Server) tell(k key, kind string, object *unstructured.Unstructured) *unstructured.Unstructured {
	s.version++
	object.SetResourceVersion(strconv.Itoa(s.version))
	s.events = append(s.events, event{s.version, k, kind, object})
	close(s.changed)
	s.changed = make(chan struct{})
	return object
}

// since returns the events after a version, and a channel that is closed at the next.
func (s *Server) since(version int) ([]event, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.events), func(e event) bool { return e.version <= version }), s.changed
}
