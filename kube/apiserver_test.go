package kube_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// resources are those that the API server of these tests has.
var resources = map[string]schema.GroupVersionKind{
	"pods":             {Version: "v1", Kind: "Pod"},
	khv1.CheckResource: khv1.GroupVersion.WithKind(khv1.CheckKind),
	khv1.JobResource:   khv1.GroupVersion.WithKind(khv1.JobKind),
	khv1.StateResource: khv1.GroupVersion.WithKind(khv1.StateKind),
}

// apiServer is an API server in memory: as much of one as package kube uses. It is called without a network, so that it
// also works where time is fake.
type apiServer struct {
	mu      sync.Mutex
	version int
	objects map[string]map[string]*unstructured.Unstructured // by resource, then by namespace/name
	events  []event
	oldest  int           // watches from an older version are refused
	changed chan struct{} // closed at each change
	cut     chan struct{} // closed when the open watches break off

	// answer, if set, takes the place of the server's own answer to a request unless it returns nil.
	answer func(r *http.Request) *apierrors.StatusError
	// requests are all but the lists and watches.
	requests []request
	lists    []string
}

type event struct {
	version  int
	resource string
	Type     string                     `json:"type"`
	Object   *unstructured.Unstructured `json:"object"`
}

// request is one call to the API server.
type request struct {
	Method, Resource, Name, FieldManager, ContentType, UserAgent string
	Body                                                         string
}

func newAPIServer(objects ...runtime.Object) *apiServer {
	a := &apiServer{
		objects: map[string]map[string]*unstructured.Unstructured{},
		changed: make(chan struct{}), cut: make(chan struct{}),
	}
	for resource := range resources {
		a.objects[resource] = map[string]*unstructured.Unstructured{}
	}
	for _, object := range objects {
		a.put(object)
	}
	return a
}

// put creates or replaces an object, without a request.
func (a *apiServer) put(object runtime.Object) {
	a.mu.Lock()
	defer a.mu.Unlock()
	content := unstructuredOf(object)
	for resource, kind := range resources {
		if kind == content.GroupVersionKind() {
			a.store(resource, content)
		}
	}
}

// remove deletes an object, without a request.
func (a *apiServer) remove(resource, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(resource, name)
}

// lose deletes an object in a moment when nobody is watching.
func (a *apiServer) lose(resource, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.objects[resource], name)
	a.version++
	a.oldest = a.version
	close(a.cut)
	a.cut = make(chan struct{})
}

// sent returns the requests since the last call, without lists and watches.
func (a *apiServer) sent() []request {
	a.mu.Lock()
	defer a.mu.Unlock()
	sent := a.requests
	a.requests = nil
	return sent
}

// calls returns the requests since the last call as "METHOD resource namespace/name".
func (a *apiServer) calls() []string {
	var calls []string
	for _, r := range a.sent() {
		calls = append(calls, r.Method+" "+r.Resource+" "+r.Name)
	}
	return calls
}

func unstructuredOf(object runtime.Object) *unstructured.Unstructured {
	kinds, _, err := scheme.Scheme.ObjectKinds(object)
	kind := object.GetObjectKind().GroupVersionKind()
	if err == nil {
		kind = kinds[0]
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		panic(err)
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(kind)
	return u
}

// RoundTrip makes the API server the transport of its clients.
func (a *apiServer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Get("watch") != "" {
		return a.watch(r)
	}
	recorder := httptest.NewRecorder()
	a.ServeHTTP(recorder, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// target reads the path of a request: /api/v1/namespaces/NAMESPACE/pods/NAME and the like.
func target(r *http.Request) (resource, namespace, name string) {
	path := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/api/v1/"), "/apis/comcast.github.io/v1/")
	if rest, ok := strings.CutPrefix(path, "namespaces/"); ok {
		namespace, path, _ = strings.Cut(rest, "/")
	}
	resource, name, _ = strings.Cut(path, "/")
	return resource, namespace, name
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	resource, namespace, name := target(r)
	object, body, err := decode(r, resources[resource])
	if err != nil {
		fail(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	if r.Method == http.MethodPost && object != nil {
		name = object.GetName()
	}
	a.note(r, resource, namespace, name, body)
	if a.answer != nil {
		if refused := a.answer(r); refused != nil {
			fail(w, refused)
			return
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.URL.Path == "/readyz" {
		_, _ = io.WriteString(w, "ok")
		return
	}
	answer, refused := a.serve(r.Method, resource, namespace, name, object, r.URL.Query().Get("labelSelector"))
	if refused != nil {
		fail(w, refused)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (a *apiServer) note(r *http.Request, resource, namespace, name, body string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Method == http.MethodGet && name == "" {
		a.lists = append(a.lists, r.URL.String())
		return
	}
	a.requests = append(a.requests, request{
		Method: r.Method, Resource: resource, Name: namespace + "/" + name, FieldManager: r.URL.Query().Get("fieldManager"),
		ContentType: r.Header.Get("Content-Type"), UserAgent: r.Header.Get("User-Agent"), Body: body,
	})
}

func preconditionHolds(options, present *unstructured.Unstructured) bool {
	uid, wanted, err := unstructured.NestedString(options.Object, "preconditions", "uid")
	return err == nil && (!wanted || uid == string(present.GetUID()))
}

// decode reads the object in the body of a request, which client-go sends as protobuf where it can, as it does with the
// options of a deletion of pods, which say nothing here.
func decode(r *http.Request, kind schema.GroupVersionKind) (*unstructured.Unstructured, string, error) {
	if r.Body == nil || r.Method == http.MethodDelete && kind.Group == "" {
		return nil, "", nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || len(body) == 0 {
		return nil, "", err
	}
	if kind.Group == "" {
		typed, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
		if err != nil {
			return nil, "", err
		}
		return unstructuredOf(typed), string(body), nil
	}
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(body, &object.Object); err != nil {
		return nil, "", err
	}
	object.SetGroupVersionKind(kind)
	return object, string(body), nil
}

func fail(w http.ResponseWriter, refused *apierrors.StatusError) {
	status := refused.Status()
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(status.Code))
	_ = json.NewEncoder(w).Encode(status)
}

func (a *apiServer) serve(method, resource, namespace, name string, object *unstructured.Unstructured, selector string) (any, *apierrors.StatusError) {
	group := schema.GroupResource{Group: resources[resource].Group, Resource: resource}
	key := namespace + "/" + name
	present, exists := a.objects[resource][key]
	switch {
	case method == http.MethodGet && name == "":
		return a.list(resource, namespace, selector), nil
	case method == http.MethodPost && exists:
		return nil, apierrors.NewAlreadyExists(group, name)
	case method == http.MethodPost && object.GetResourceVersion() != "":
		return nil, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	case method == http.MethodPost:
		return a.store(resource, object), nil
	case !exists:
		return nil, apierrors.NewNotFound(group, name)
	case method == http.MethodGet:
		return present, nil
	case method == http.MethodPut && object.GetResourceVersion() != present.GetResourceVersion():
		return nil, apierrors.NewConflict(group, name, errors.New("the object has been modified"))
	case method == http.MethodPut:
		return a.store(resource, object), nil
	case method == http.MethodPatch && object.GetUID() != "" && object.GetUID() != present.GetUID():
		return nil, apierrors.NewInvalid(resources[resource].GroupKind(), name, nil) // the UID is immutable
	case method == http.MethodDelete && object != nil && !preconditionHolds(object, present):
		return nil, apierrors.NewConflict(group, name, errors.New("precondition failed: UID"))
	case method == http.MethodPatch:
		merged := present.DeepCopy()
		merge(merged.Object, object.Object)
		return a.store(resource, merged), nil
	case method == http.MethodDelete:
		a.drop(resource, key)
		return present, nil
	}
	return nil, apierrors.NewMethodNotSupported(group, method)
}

func (a *apiServer) list(resource, namespace, selector string) *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	kind := resources[resource]
	kind.Kind += "List"
	list.SetGroupVersionKind(kind)
	list.SetResourceVersion(strconv.Itoa(a.version))
	for _, key := range slices.Sorted(maps.Keys(a.objects[resource])) {
		if object := a.objects[resource][key]; selected(object, namespace, selector) {
			list.Items = append(list.Items, *object)
		}
	}
	return list
}

func selected(object *unstructured.Unstructured, namespace, selector string) bool {
	wanted, err := labels.Parse(selector)
	return err == nil && (namespace == "" || object.GetNamespace() == namespace) && wanted.Matches(labels.Set(object.GetLabels()))
}

// merge applies a JSON merge patch.
func merge(into, patch map[string]any) {
	for key, value := range patch {
		deeper, ok := value.(map[string]any)
		if present, exists := into[key].(map[string]any); ok && exists {
			merge(present, deeper)
			continue
		}
		into[key] = value
	}
}

func (a *apiServer) store(resource string, object *unstructured.Unstructured) *unstructured.Unstructured {
	key := object.GetNamespace() + "/" + object.GetName()
	kind := "ADDED"
	if _, exists := a.objects[resource][key]; exists {
		kind = "MODIFIED"
	}
	a.version++
	object.SetResourceVersion(strconv.Itoa(a.version))
	a.objects[resource][key] = object
	a.tell(event{a.version, resource, kind, object})
	return object
}

func (a *apiServer) drop(resource, key string) {
	object := a.objects[resource][key].DeepCopy()
	delete(a.objects[resource], key)
	a.version++
	object.SetResourceVersion(strconv.Itoa(a.version))
	a.tell(event{a.version, resource, "DELETED", object})
}

func (a *apiServer) tell(e event) {
	a.events = append(a.events, e)
	close(a.changed)
	a.changed = make(chan struct{})
}

// watch streams the changes of one resource.
func (a *apiServer) watch(r *http.Request) (*http.Response, error) {
	resource, namespace, _ := target(r)
	query := r.URL.Query()
	a.note(r, resource, namespace, "", "")
	if a.answer != nil {
		if refused := a.answer(r); refused != nil {
			recorder := httptest.NewRecorder()
			fail(recorder, refused)
			return recorder.Result(), nil
		}
	}
	reader, writer := io.Pipe()
	go func() {
		defer writer.Close()
		out := json.NewEncoder(writer)
		a.stream(r, func(e event) bool {
			return e.resource != resource || e.Type != "BOOKMARK" && !selected(e.Object, namespace, query.Get("labelSelector")) || out.Encode(e) == nil
		})
	}()
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: reader, Request: r,
	}, nil
}

func (a *apiServer) stream(r *http.Request, send func(event) bool) {
	a.mu.Lock()
	first, cut := a.first(r)
	a.mu.Unlock()
	for _, e := range first {
		if !send(e) {
			return
		}
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	if len(first) > 0 {
		from = first[len(first)-1].version
	}
	for {
		a.mu.Lock()
		events, changed := slices.Clone(a.events), a.changed
		a.mu.Unlock()
		for _, e := range events {
			if e.version > from && !send(e) {
				return
			}
			from = max(from, e.version)
		}
		select {
		case <-changed:
		case <-cut:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// first returns what a watch begins with: all objects and a bookmark if it asks for them, or that it comes too late.
func (a *apiServer) first(r *http.Request) (first []event, cut <-chan struct{}) {
	resource, _, _ := target(r)
	query := r.URL.Query()
	if query.Get("sendInitialEvents") == "true" {
		for _, object := range a.objects[resource] {
			first = append(first, event{a.version, resource, "ADDED", object})
		}
		bookmark := &unstructured.Unstructured{}
		bookmark.SetGroupVersionKind(resources[resource])
		bookmark.SetResourceVersion(strconv.Itoa(a.version))
		bookmark.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
		return append(first, event{a.version, resource, "BOOKMARK", bookmark}), a.cut
	}
	if version, _ := strconv.Atoi(query.Get("resourceVersion")); version < a.oldest {
		status := apierrors.NewResourceExpired("too old resource version").Status()
		content, _ := runtime.DefaultUnstructuredConverter.ToUnstructured(&status)
		expired := &unstructured.Unstructured{Object: content}
		expired.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Status"})
		closed := make(chan struct{})
		close(closed)
		return []event{{a.version, resource, "ERROR", expired}}, closed
	}
	return nil, a.cut
}

// The stub must be as strict as the real one where tests rely on it.
func TestAPIServerRefusesAnUpdateOfAnOldVersion(t *testing.T) {
	a := newAPIServer(state("cart", "one"))
	stale := unstructuredOf(state("cart", "two"))
	if _, refused := a.serve(http.MethodPut, khv1.StateResource, "shop", "cart", stale, ""); !apierrors.IsConflict(refused) {
		t.Errorf("answer %v, want a conflict", refused)
	}
	if got := a.objects[khv1.StateResource]["shop/cart"]; equality.Semantic.DeepEqual(got, stale) {
		t.Error("the update was stored")
	}
}
