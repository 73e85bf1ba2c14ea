package apitest

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// RoundTrip makes the server the transport of its clients.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	c, refused := s.accept(r)
	if refused == nil && c.verb == "watch" {
		reader, writer := io.Pipe()
		go func() {
			defer writer.Close()
			s.watch(c, writer, func() {})
		}()
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: reader, Request: r,
		}, nil
	}
	recorder := httptest.NewRecorder()
	s.reply(recorder, c, refused)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	response := recorder.Result()
	response.Request = r
	return response, nil
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, refused := s.accept(r)
	if refused == nil && c.verb == "watch" {
		w.Header().Set("Content-Type", "application/json")
		s.watch(c, w, func() { _ = http.NewResponseController(w).Flush() })
		return
	}
	s.reply(w, c, refused)
}

// accept records a request, and refuses what cannot be read or is refused by the test.
func (s *Server) accept(r *http.Request) (call, *apierrors.StatusError) {
	c, err := s.receive(r)
	s.mu.Lock()
	answer, listing := s.answer, s.listing
	s.mu.Unlock()
	if answer != nil {
		if refused := answer(r); refused != nil {
			return c, refused
		}
	}
	switch {
	case err != nil:
		return c, apierrors.NewBadRequest(err.Error())
	case c.resource == "/readyz":
		return c, nil
	case kinds[c.resource].Kind == "":
		return c, apierrors.NewNotFound(c.groupResource(), c.name)
	case listing && r.URL.Query().Has("sendInitialEvents"):
		return c, apierrors.NewInvalid(metav1.SchemeGroupVersion.WithKind("ListOptions").GroupKind(), "", nil)
	}
	return c, nil
}

func (s *Server) reply(w http.ResponseWriter, c call, refused *apierrors.StatusError) {
	if refused == nil && c.resource == "/readyz" {
		_, _ = io.WriteString(w, "ok")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	var answer any
	if refused == nil {
		answer, refused = s.serve(c)
	}
	if refused != nil {
		status := refused.Status()
		status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
		w.WriteHeader(int(status.Code))
		answer = status
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *Server) serve(c call) (any, *apierrors.StatusError) {
	present, exists := s.objects[c.key]
	switch {
	case c.verb == "list":
		return s.list(c), nil
	case c.verb == "deletecollection":
		for _, k := range s.selected(c) {
			s.drop(k)
		}
		return succeeded(), nil
	case c.verb == "create":
		return s.create(c)
	case c.verb == "update" && c.misplaced() != nil:
		return nil, c.misplaced()
	case !exists:
		return nil, apierrors.NewNotFound(c.groupResource(), c.name)
	}
	switch c.verb {
	case "get":
		return present, nil
	case "update":
		return s.update(c, present)
	case "patch":
		return s.patch(c, present)
	case "delete":
		return s.delete(c, present)
	}
	return nil, apierrors.NewMethodNotSupported(c.groupResource(), c.verb)
}

// selected are the keys of the objects that the request asks for.
func (s *Server) selected(c call) []key {
	var keys []key
	for k, object := range s.objects {
		if c.selects(k, object) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	})
	return keys
}

func (c *call) selects(k key, object *unstructured.Unstructured) bool {
	selector, err := labels.Parse(c.URL.Query().Get("labelSelector"))
	return err == nil && k.resource == c.resource && (c.namespace == "" || c.namespace == k.namespace) &&
		selector.Matches(labels.Set(object.GetLabels()))
}

// list returns a page of the objects that the request asks for.
func (s *Server) list(c call) *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	kind := kinds[c.resource]
	kind.Kind += "List"
	list.SetGroupVersionKind(kind)
	list.SetResourceVersion(strconv.Itoa(s.version))
	query, keys := c.URL.Query(), s.selected(c)
	from, _ := strconv.Atoi(query.Get("continue"))
	limit, _ := strconv.Atoi(query.Get("limit"))
	if to := from + limit; limit > 0 && to < len(keys) {
		keys = keys[:to]
		list.SetContinue(strconv.Itoa(to))
	}
	for _, k := range keys[min(from, len(keys)):] {
		list.Items = append(list.Items, *s.objects[k])
	}
	return list
}

func (s *Server) create(c call) (any, *apierrors.StatusError) {
	if refused := c.misplaced(); refused != nil {
		return nil, refused
	}
	if c.body.GetResourceVersion() != "" {
		return nil, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	if _, exists := s.objects[c.key]; exists {
		return nil, apierrors.NewAlreadyExists(c.groupResource(), c.name)
	}
	c.body.SetUID(types.UID("uid-of-" + c.name))
	c.setStatus(nil)
	return s.store(c.key, c.body), nil
}

// misplaced refuses an object of another kind, namespace or name than the request's. The namespace may be left out.
func (c *call) misplaced() *apierrors.StatusError {
	if c.body == nil || c.body.GroupVersionKind() != kinds[c.resource] {
		return apierrors.NewBadRequest("the object is no " + kinds[c.resource].String())
	}
	if c.body.GetNamespace() == "" {
		c.body.SetNamespace(c.namespace)
	}
	if c.body.GetNamespace() != c.namespace || c.body.GetName() != c.name {
		return apierrors.NewBadRequest("the namespace and name of the object do not match those of the request")
	}
	return nil
}

func (s *Server) update(c call, present *unstructured.Unstructured) (any, *apierrors.StatusError) {
	c.setStatus(present)
	switch c.body.GetResourceVersion() {
	case present.GetResourceVersion():
		return s.store(c.key, c.body), nil
	case "":
		missing := field.Invalid(field.NewPath("metadata", "resourceVersion"), 0, "must be specified for an update")
		return nil, apierrors.NewInvalid(c.body.GroupVersionKind().GroupKind(), c.name, field.ErrorList{missing})
	}
	return nil, apierrors.NewConflict(c.groupResource(), c.name, errors.New("the object has been modified"))
}

// setStatus makes the status of a check that is written that of the present one. Only requests to the status change it.
func (c *call) setStatus(present *unstructured.Unstructured) {
	if c.resource != khv1.CheckResource || c.status {
		return
	}
	delete(c.body.Object, "status")
	if present != nil && present.Object["status"] != nil {
		c.body.Object["status"] = present.Object["status"]
	}
}

// patch knows merge patches, and those that client-go sends for the series of an event.
func (s *Server) patch(c call, present *unstructured.Unstructured) (any, *apierrors.StatusError) {
	got := types.PatchType(c.Header.Get("Content-Type"))
	if series := c.resource == "events.events.k8s.io" && got == types.StrategicMergePatchType; got != types.MergePatchType && !series {
		return nil, apierrors.NewGenericServerResponse(http.StatusUnsupportedMediaType, "patch", c.groupResource(), c.name, string(got), 0, true)
	}
	if uid := c.body.GetUID(); uid != "" && uid != present.GetUID() {
		return nil, apierrors.NewInvalid(kinds[c.resource].GroupKind(), c.name, nil) // the UID is immutable
	}
	if version := c.body.GetResourceVersion(); version != "" && version != present.GetResourceVersion() {
		return nil, apierrors.NewConflict(c.groupResource(), c.name, errors.New("the object has been modified"))
	}
	merged := present.DeepCopy()
	if c.status {
		c.body.Object = map[string]any{"status": c.body.Object["status"]}
	} else if c.resource == khv1.CheckResource {
		delete(c.body.Object, "status")
	}
	merge(merged.Object, c.body.Object)
	return s.store(c.key, merged), nil
}

func merge(into, patch map[string]any) {
	for name, value := range patch {
		if value == nil {
			delete(into, name)
			continue
		}
		deeper, ok := value.(map[string]any)
		if present, exists := into[name].(map[string]any); ok && exists {
			merge(present, deeper)
			continue
		}
		into[name] = value
	}
}

func (s *Server) delete(c call, present *unstructured.Unstructured) (any, *apierrors.StatusError) {
	if c.body != nil {
		uid, wanted, err := unstructured.NestedString(c.body.Object, "preconditions", "uid")
		if err != nil || wanted && uid != string(present.GetUID()) {
			return nil, apierrors.NewConflict(c.groupResource(), c.name, errors.New("precondition failed: UID"))
		}
	}
	s.drop(c.key)
	return succeeded(), nil
}

func succeeded() metav1.Status {
	return metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusSuccess}
}
