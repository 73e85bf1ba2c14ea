// Package apitest is an API server in memory for tests. It has pods, events, nodes and Khronicle's resources. It
// keeps what it gets, and refuses what a real one refuses. It needs no network, so it also works where time is fake.
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
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// kinds are the resources that the server has.
var kinds = map[string]schema.GroupVersionKind{
	"events":               {Version: "v1", Kind: "Event"},
	"events.events.k8s.io": {Group: "events.k8s.io", Version: "v1", Kind: "Event"},
	"nodes":                {Version: "v1", Kind: "Node"},
	"pods":                 {Version: "v1", Kind: "Pod"},
	khv1.CheckResource:     khv1.GroupVersion.WithKind(khv1.CheckKind),
	khv1.JobResource:       khv1.GroupVersion.WithKind(khv1.JobKind),
	khv1.StateResource:     khv1.GroupVersion.WithKind(khv1.StateKind),
}

// Answer returns the error with which the server answers a request, or nil: then the server answers by itself.
type Answer func(r *http.Request) *apierrors.StatusError

// Server is an API server. Its methods are safe for concurrent use.
type Server struct {
	mu       sync.Mutex
	version  int
	objects  map[key]*unstructured.Unstructured
	events   []event
	oldest   int           // watches from an older version are refused
	changed  chan struct{} // closed at each change
	cut      chan struct{} // closed when the open watches break off
	requests Requests
	answer   Answer
	listing  bool // the server has no streaming lists
}

type key struct{ resource, namespace, name string }

type event struct {
	version int
	key     key
	Type    string                     `json:"type"`
	Object  *unstructured.Unstructured `json:"object"`
}

// New returns a server that has these objects.
func New(objects ...runtime.Object) *Server {
	s := &Server{objects: map[key]*unstructured.Unstructured{}, changed: make(chan struct{}), cut: make(chan struct{})}
	s.Put(objects...)
	return s
}

// Config is the configuration of a client that calls the server without a network.
func (s *Server) Config() *rest.Config { return &rest.Config{Host: "http://api.test", Transport: s} }

// Kubeconfig starts a listener, which runs until the end of the test, and returns the path of a kubeconfig file for it.
// From then on, the test is not in a cluster.
func (s *Server) Kubeconfig(t testing.TB) string {
	t.Helper()
	listener := httptest.NewServer(s)
	t.Cleanup(func() {
		listener.CloseClientConnections() // ends the watches
		listener.Close()
	})
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	return Kubeconfig(t, listener.URL)
}

// Kubeconfig writes a kubeconfig file for the server at that URL and returns its path.
func Kubeconfig(t testing.TB, url string) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: url}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test"}
	config.CurrentContext = "test"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// SetAnswer makes the server answer requests in this way from now on. Nil makes it answer all by itself.
func (s *Server) SetAnswer(answer Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// Refuse makes the server answer every request with that error. Nil makes it answer again.
func (s *Server) Refuse(refusal *apierrors.StatusError) {
	s.SetAnswer(func(*http.Request) *apierrors.StatusError { return refusal })
}

// WithoutStreamingLists makes the server one whose informers have to list before they watch, and returns it.
func (s *Server) WithoutStreamingLists() *Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listing = true
	return s
}

// Put creates or replaces objects, without a request.
func (s *Server) Put(objects ...runtime.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, object := range objects {
		content := unstructuredOf(object)
		s.store(keyOf(content), content)
	}
}

// PutUnseen creates or replaces objects, and no watch sees it.
func (s *Server) PutUnseen(objects ...runtime.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, object := range objects {
		content := unstructuredOf(object)
		s.version++
		content.SetResourceVersion(strconv.Itoa(s.version))
		s.objects[keyOf(content)] = content
	}
}

// ForgetUnseen deletes all objects, and no watch sees it.
func (s *Server) ForgetUnseen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.objects)
}

// Remove deletes an object, without a request.
func (s *Server) Remove(resource, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(key{resource, namespace, name})
}

// Lose deletes an object in a moment when nobody is watching: all watches break off.
func (s *Server) Lose(resource, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key{resource, namespace, name})
	s.version++
	s.oldest = s.version
	close(s.cut)
	s.cut = make(chan struct{})
}

// Object reads an object into a typed one. It returns false if there is none.
func (s *Server) Object(resource, namespace, name string, into runtime.Object) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.objects[key{resource, namespace, name}]
	if ok {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, into); err != nil {
			panic(err)
		}
	}
	return ok
}

// Count returns how many objects of a resource there are.
func (s *Server) Count(resource string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := 0
	for k := range s.objects {
		if k.resource == resource {
			count++
		}
	}
	return count
}

func (s *Server) store(k key, object *unstructured.Unstructured) *unstructured.Unstructured {
	kind := "ADDED"
	if _, exists := s.objects[k]; exists {
		kind = "MODIFIED"
	}
	s.objects[k] = object
	s.publish(k, kind, object)
	return object
}

func (s *Server) drop(k key) {
	object := s.objects[k].DeepCopy()
	delete(s.objects, k)
	s.publish(k, "DELETED", object)
}

// publish gives the object the next version and shows the change to those who watch.
func (s *Server) publish(k key, kind string, object *unstructured.Unstructured) {
	s.version++
	object.SetResourceVersion(strconv.Itoa(s.version))
	s.events = append(s.events, event{s.version, k, kind, object})
	close(s.changed)
	s.changed = make(chan struct{})
}

func keyOf(object *unstructured.Unstructured) key {
	for resource, kind := range kinds {
		if kind == object.GroupVersionKind() {
			return key{resource, object.GetNamespace(), object.GetName()}
		}
	}
	panic("apitest has no resource of kind " + object.GroupVersionKind().String())
}

func unstructuredOf(object runtime.Object) *unstructured.Unstructured {
	kind := object.GetObjectKind().GroupVersionKind()
	if known, _, err := scheme.Scheme.ObjectKinds(object); err == nil && !slices.Contains(known, kind) {
		kind = known[0]
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		panic(err)
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(kind)
	return u
}
