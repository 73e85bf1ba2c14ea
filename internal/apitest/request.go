package apitest

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// Request is a request as the API server's authorizer sees it, with what tests look at besides. A path that is no
// resource's is its Resource.
type Request struct {
	Verb, Resource, Namespace, Name            string
	Method, Path                               string // Path is without that of the API group, and with the query
	FieldManager, ContentType, UserAgent, Body string
}

// Requests are requests in the order in which they came.
type Requests []Request

// Requests returns the requests since the last call.
func (s *Server) Requests() Requests {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := s.requests
	s.requests = nil
	return requests
}

// Paths returns each request as "METHOD path?query".
func (r Requests) Paths() []string {
	var paths []string
	for _, request := range r {
		paths = append(paths, request.Method+" "+request.Path)
	}
	return paths
}

// OfOne returns the requests for one object: no lists and no watches.
func (r Requests) OfOne() Requests {
	return slices.DeleteFunc(slices.Clone(r), func(request Request) bool {
		return request.Verb == "list" || request.Verb == "watch"
	})
}

// Calls returns the requests for one object as "METHOD resource namespace/name".
func (r Requests) Calls() []string {
	var calls []string
	for _, request := range r.OfOne() {
		calls = append(calls, request.Method+" "+request.Resource+" "+request.Namespace+"/"+request.Name)
	}
	return calls
}

var verbs = map[string]string{
	http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
}

// roots are the paths of the API groups, with what follows the names of their resources here. Two groups have events.
var roots = map[string]string{
	"/api/v1/": "", "/apis/" + khv1.GroupVersion.String() + "/": "", "/apis/events.k8s.io/v1/": ".events.k8s.io",
}

// parse reads what a request is for from its method and path: /api/v1/namespaces/NAMESPACE/pods/NAME/log and the like.
func parse(r *http.Request) Request {
	parsed := Request{
		Method: r.Method, FieldManager: r.URL.Query().Get("fieldManager"),
		ContentType: r.Header.Get("Content-Type"), UserAgent: r.Header.Get("User-Agent"),
	}
	path, resources, group := r.URL.Path, false, ""
	for root, suffix := range roots {
		if rest, ok := strings.CutPrefix(path, root); ok {
			path, resources, group = rest, true, suffix
		}
	}
	parsed.Path = path
	if r.URL.RawQuery != "" {
		parsed.Path += "?" + r.URL.RawQuery
	}
	if !resources {
		parsed.Verb, parsed.Resource = strings.ToLower(r.Method), path
		return parsed
	}
	parts := strings.Split(path, "/")
	if parts[0] == "namespaces" && len(parts) > 2 {
		parsed.Namespace, parts = parts[1], parts[2:]
	}
	parsed.Resource = parts[0] + group
	if len(parts) > 1 {
		parsed.Name = parts[1]
	}
	if len(parts) > 2 { // pods/NAME/log
		parsed.Resource += "/" + parts[2]
	}
	parsed.Verb = verb(r, parsed.Name)
	return parsed
}

func verb(r *http.Request, name string) string {
	watch := r.URL.Query().Get("watch")
	switch {
	case r.Method == http.MethodDelete && name == "":
		return "deletecollection"
	case verbs[r.Method] != "":
		return verbs[r.Method]
	case watch == "true" || watch == "1":
		return "watch"
	case name == "":
		return "list"
	default:
		return "get"
	}
}

// call is one request to one resource, with the object in its body.
type call struct {
	*http.Request
	key
	verb string
	body *unstructured.Unstructured
	// status is true for a request to the status of a check.
	status bool
}

func (c *call) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: kinds[c.resource].Group, Resource: c.resource}
}

// receive reads and records a request. Client-go sends Kubernetes' own types as protobuf. Options of their deletion are not read.
func (s *Server) receive(r *http.Request) (call, error) {
	parsed := parse(r)
	c := call{Request: r, key: key{parsed.Resource, parsed.Namespace, parsed.Name}, verb: parsed.Verb}
	if c.status = c.resource == khv1.CheckResource+"/status"; c.status {
		c.resource = khv1.CheckResource
	}
	var body []byte
	var err error
	if r.Body != nil {
		body, err = io.ReadAll(r.Body)
	}
	core := kinds[c.resource].Group != khv1.Group
	switch {
	case err != nil || len(body) == 0 || core && c.verb == "delete":
	case core && c.verb != "patch":
		typed, _, decoded := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
		if err = decoded; err == nil {
			c.body = unstructuredOf(typed)
		}
	default:
		c.body = &unstructured.Unstructured{}
		err = json.Unmarshal(body, &c.body.Object)
	}
	if c.verb == "create" && c.body != nil {
		c.name = c.body.GetName()
	}
	parsed.Name, parsed.Body = c.name, string(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, parsed)
	return c, err
}
