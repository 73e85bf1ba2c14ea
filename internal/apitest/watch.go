package apitest

import (
	"encoding/json"
	"io"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// watch streams the changes after the version that the request names, or all.
func (s *Server) watch(c call, w io.Writer, flush func()) {
	first, from, cut := s.first(c)
	stream := json.NewEncoder(w)
	for _, e := range first {
		if stream.Encode(e) != nil {
			return
		}
	}
	for {
		events, changed := s.since(from)
		for _, e := range events {
			from = e.version
			if c.selects(e.key, e.Object) && stream.Encode(e) != nil {
				return
			}
		}
		flush()
		select {
		case <-changed:
		case <-cut:
			return
		case <-c.Context().Done():
			return
		}
	}
}

// since returns the events after a version, and a channel that is closed at the next.
func (s *Server) since(version int) ([]event, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.events), func(e event) bool { return e.version <= version }), s.changed
}

// first returns what a watch begins with, the version that this shows, and the channel that breaks the watch off. It
// begins with all objects and a bookmark if the request asks for them, and with an error if the request comes too late.
func (s *Server) first(c call) (first []event, version int, cut <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.URL.Query().Get("sendInitialEvents") == "true" {
		for _, k := range s.selected(c) {
			first = append(first, event{s.version, k, "ADDED", s.objects[k]})
		}
		bookmark := &unstructured.Unstructured{}
		bookmark.SetGroupVersionKind(kinds[c.resource])
		bookmark.SetResourceVersion(strconv.Itoa(s.version))
		bookmark.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
		return append(first, event{s.version, c.key, "BOOKMARK", bookmark}), s.version, s.cut
	}
	version, _ = strconv.Atoi(c.URL.Query().Get("resourceVersion"))
	if version < s.oldest {
		closed := make(chan struct{})
		close(closed)
		return []event{{s.version, c.key, "ERROR", expired()}}, s.version, closed
	}
	return nil, version, s.cut
}

func expired() *unstructured.Unstructured {
	status := apierrors.NewResourceExpired("too old resource version").Status()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&status)
	if err != nil {
		panic(err)
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Status"})
	return u
}
