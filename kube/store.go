package kube

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// store is the cached view of one resource: one informer for each watched namespace.
type store[T runtime.Object] struct {
	informers []cache.SharedIndexInformer
}

func (s *store[T]) add(lw cache.ListerWatcher, example T, further ...cache.Indexers) {
	indexers := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
	for _, more := range further {
		maps.Copy(indexers, more)
	}
	informer := cache.NewSharedIndexInformer(lw, example, 0, indexers)
	trim := dropManagedFields
	if _, pods := any(example).(*corev1.Pod); pods {
		trim = trimPod
	}
	_ = informer.SetTransform(trim) // fails only once the informer runs
	s.informers = append(s.informers, informer)
}

// dropManagedFields drops a third of an object, which nobody here reads.
func dropManagedFields(obj any) (any, error) {
	if accessor, err := meta.Accessor(obj); err == nil {
		accessor.SetManagedFields(nil)
	}
	return obj, nil
}

func (s *store[T]) onChange(handler cache.ResourceEventHandler) error {
	for _, informer := range s.informers {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return fmt.Errorf("watch for changes: %w", err)
		}
	}
	return nil
}

// get returns the cached object, which must not be changed.
func (s *store[T]) get(namespace, name string) (found T, ok bool) {
	for _, informer := range s.informers {
		if obj, exists, err := informer.GetStore().GetByKey(namespace + "/" + name); err == nil && exists {
			return obj.(T), true
		}
	}
	return found, false
}

// list returns the cached objects of a namespace, or of all if it is empty. They must not be changed.
func (s *store[T]) list(namespace string) []T {
	var all []T
	for _, informer := range s.informers {
		// Neither the selector nor the index can be wrong here.
		_ = cache.ListAllByNamespace(informer.GetIndexer(), namespace, everything, func(obj any) { all = append(all, obj.(T)) })
	}
	return all
}

// having returns the cached objects that an index has under a value. They must not be changed.
func (s *store[T]) having(index, value string) []T {
	var all []T
	for _, informer := range s.informers {
		found, _ := informer.GetIndexer().ByIndex(index, value) // the only error is an index that was never added
		for _, obj := range found {
			all = append(all, obj.(T))
		}
	}
	return all
}

// lister is the part of a typed client that an informer needs.
type lister[L runtime.Object] interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

func listWatch[L runtime.Object](client lister[L]) cache.ListerWatcher {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return client.List(ctx, o)
		},
		WatchFuncWithContext: client.Watch,
	}
}
