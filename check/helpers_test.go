package check_test

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

var update = flag.Bool("update", false, "write the golden files anew")

// now is the present of these tests.
var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const runUUID = "3c8f1f6e-52b7-4d0a-9a41-7be0d2f5c913"

var (
	checkRef = check.Ref{Kind: khv1.KHCheck, Namespace: "ns", Name: "dns", UID: "uid-1", Generation: 3}
	jobRef   = check.Ref{Kind: khv1.KHJob, Namespace: "ns", Name: "smoke", UID: "uid-2", Generation: 1}
)

// golden compares got with a file in testdata, or writes that file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read golden file (write it with -update): %v", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

func ptr[T any](v T) *T { return &v }

// keys returns the sorted keys of a map, nil if there are none.
func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
