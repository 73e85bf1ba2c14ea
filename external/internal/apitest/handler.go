package apitest

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

const (
	root       = "/apis/comcast.github.io/v1/"
	collection = root + "namespaces/{namespace}/{resource}"
	object     = collection + "/{name}"
)

// call is one request to one resource, with the object in its body.
type call struct {
	*http.Request
	key
	body *unstructured.Unstructured
}

type handler func(call) (any, *apierrors.StatusError)

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range map[string]handler{
		"GET " + root + "{resource}": s.list,
		"GET " + collection:          s.list,
		"POST " + collection:         s.create,
		"DELETE " + collection:       s.deleteCollection,
		"GET " + object:              s.get,
		"PUT " + object:              s.update,
		"PATCH " + object:            s.patch,
		"DELETE " + object:           s.delete,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, handle) })
	}
	return mux
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, handle handler) {
	c := call{Request: r, key: key{r.PathValue("resource"), r.PathValue("namespace"), r.PathValue("name")}}
	refusal := s.note(r, strings.TrimPrefix(r.URL.Path, root))
	switch err := c.decode(); {
	case refusal != nil:
	case kinds[c.resource] == "":
		refusal = apierrors.NewNotFound(c.groupResource(), c.name)
	case err != nil:
		refusal = apierrors.NewBadRequest(err.Error())
	case r.URL.Query().Has("sendInitialEvents"): // as a server that has no streaming lists; informers then list
		refusal = apierrors.NewInvalid(metav1.SchemeGroupVersion.WithKind("ListOptions").GroupKind(), "", nil)
	}
	w.Header().Set("Content-Type", "application/json")
	if refusal == nil && r.URL.Query().Get("watch") != "" {
		s.watch(w, c)
		return
	}
	var answer any
	if refusal == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		answer, refusal = handle(c)
	}
	if refusal != nil {
		status := refusal.Status()
		status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
		w.WriteHeader(int(status.Code))
		answer = status
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (c *call) decode() error {
	if c.ContentLength == 0 {
		return nil
	}
	c.body = &unstructured.Unstructured{}
	return json.NewDecoder(c.Body).Decode(&c.body.Object)
}

func (c *call) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: khv1.GroupVersion.Group, Resource: c.resource}
}

// selected are the keys of the objects that the request asks for.
func (s *Server) selected(c call) []key {
	return slices.SortedFunc(func(yield func(key) bool) {
		for k := range maps.Keys(s.objects) {
			if c.selects(k, s.objects[k]) && !yield(k) {
				return
			}
		}
	}, func(a, b key) int { return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name)) })
}

func (c *call) selects(k key, object *unstructured.Unstructured) bool {
	selector, err := labels.Parse(c.URL.Query().Get("labelSelector"))
	return err == nil && k.resource == c.resource && (c.namespace == "" || c.namespace == k.namespace) &&
		selector.Matches(labels.Set(object.GetLabels()))
}

func (s *Server) list(c call) (any, *apierrors.StatusError) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(khv1.GroupVersion.WithKind(kinds[c.resource] + "List"))
	list.SetResourceVersion(strconv.Itoa(s.version))
	for _, k := range s.selected(c) {
		list.Items = append(list.Items, *s.objects[k])
	}
	return list, nil
}

func (s *Server) get(c call) (any, *apierrors.StatusError) {
	if found, ok := s.objects[c.key]; ok {
		return found, nil
	}
	return nil, apierrors.NewNotFound(c.groupResource(), c.name)
}

func (s *Server) create(c call) (any, *apierrors.StatusError) {
	c.name = c.body.GetName()
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
	return s.store(c.key, c.body), nil
}

// misplaced refuses an object of another kind, namespace or name than the request's. The namespace may be left out.
func (c *call) misplaced() *apierrors.StatusError {
	if want := khv1.GroupVersion.WithKind(kinds[c.resource]); c.body.GroupVersionKind() != want {
		return apierrors.NewBadRequest("the object is a " + c.body.GroupVersionKind().String())
	}
	if c.body.GetNamespace() == "" {
		c.body.SetNamespace(c.namespace)
	}
	if c.body.GetNamespace() != c.namespace || c.body.GetName() != c.name {
		return apierrors.NewBadRequest("the namespace and name of the object do not match those of the request")
	}
	return nil
}

func (s *Server) update(c call) (any, *apierrors.StatusError) {
	present, exists := s.objects[c.key]
	if refused := c.misplaced(); refused != nil {
		return nil, refused
	}
	if !exists {
		return nil, apierrors.NewNotFound(c.groupResource(), c.name)
	}
	switch c.body.GetResourceVersion() {
	case present.GetResourceVersion():
		return s.store(c.key, c.body), nil
	case "":
		missing := field.Invalid(field.NewPath("metadata", "resourceVersion"), 0, "must be specified for an update")
		return nil, apierrors.NewInvalid(c.body.GroupVersionKind().GroupKind(), c.name, field.ErrorList{missing})
	}
	return nil, apierrors.NewConflict(c.groupResource(), c.name, errors.New("the object has been modified"))
}

// patch knows merge patches alone.
func (s *Server) patch(c call) (any, *apierrors.StatusError) {
	present, exists := s.objects[c.key]
	if !exists {
		return nil, apierrors.NewNotFound(c.groupResource(), c.name)
	}
	if got := types.PatchType(c.Header.Get("Content-Type")); got != types.MergePatchType {
		return nil, apierrors.NewGenericServerResponse(http.StatusUnsupportedMediaType, "patch", c.groupResource(), c.name, string(got), 0, true)
	}
	merged := present.DeepCopy()
	merge(merged.Object, c.body.Object)
	return s.store(c.key, merged), nil
}

func merge(into, patch map[string]any) {
	for name, value := range patch {
		deeper, ok := value.(map[string]any)
		if present, exists := into[name].(map[string]any); ok && exists {
			merge(present, deeper)
			continue
		}
		into[name] = value
	}
}

func (s *Server) delete(c call) (any, *apierrors.StatusError) {
	present, exists := s.objects[c.key]
	if !exists {
		return nil, apierrors.NewNotFound(c.groupResource(), c.name)
	}
	if c.body != nil {
		uid, wanted, err := unstructured.NestedString(c.body.Object, "preconditions", "uid")
		if err != nil || wanted && uid != string(present.GetUID()) {
			return nil, apierrors.NewConflict(c.groupResource(), c.name, errors.New("precondition failed: UID"))
		}
	}
	s.drop(c.key)
	return succeeded(), nil
}

func (s *Server) deleteCollection(c call) (any, *apierrors.StatusError) {
	for _, k := range s.selected(c) {
		s.drop(k)
	}
	return succeeded(), nil
}

func succeeded() metav1.Status {
	return metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusSuccess}
}

// watch streams the changes after the version that the request names, or all.
func (s *Server) watch(w http.ResponseWriter, c call) {
	version, _ := strconv.Atoi(c.URL.Query().Get("resourceVersion"))
	stream := json.NewEncoder(w)
	for {
		events, changed := s.since(version)
		for _, e := range events {
			version = e.version
			if c.selects(e.key, e.Object) && stream.Encode(e) != nil {
				return
			}
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-c.Context().Done():
			return
		}
	}
}
