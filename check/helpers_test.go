package check_test

import (
	"maps"
	"slices"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// now is the present of these tests.
var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const runUUID = "3c8f1f6e-52b7-4d0a-9a41-7be0d2f5c913"

var (
	checkRef = check.Ref{Kind: khv1.KHCheck, Namespace: "ns", Name: "dns", UID: "uid-1", Generation: 3}
	jobRef   = check.Ref{Kind: khv1.KHJob, Namespace: "ns", Name: "smoke", UID: "uid-2", Generation: 1}
)

func ptr[T any](v T) *T { return &v }

// keys returns the sorted keys of a map, nil if there are none.
func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
