package lint

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStepsSplitsAPath(t *testing.T) {
	tests := []struct {
		path string
		want []string
	}{
		{"", nil},
		{"spec", []string{"spec"}},
		{item(child("spec.podSpec", "containers"), 12) + ".image", []string{"spec", "podSpec", "containers", "12", "image"}},
		{entry("metadata.labels", "example.com/team"), []string{"metadata", "labels", "example.com/team"}},
		{child("spec", "not a.name"), []string{"spec", "not a.name"}},
		{child("", "a.b") + ".c", []string{"a.b", "c"}},
		{"a[b", []string{"a", "b"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, steps(tt.path)); diff != "" {
			t.Errorf("%s: want -, got +:\n%s", tt.path, diff)
		}
	}
}

func TestFindReturnsTheNodeAndTheNearestLine(t *testing.T) {
	root := readNode([]byte(`a: &a
  b: 1
  c:
  - d: 2
  -
    e: 3
f:
  <<: *a
  g: *a
  "h.i": 4
h:
  <<: [{x: 1}, *a]
b: 5
b: 6
`))
	tests := []struct {
		path  string
		value string // empty if there is none
		line  int
	}{
		{"a.b", "1", 2},
		{"a.c[0].d", "2", 4},
		{"a.c[1].e", "3", 6},
		{"a.c[2].e", "", 3},
		{"a.c[x]", "", 3},
		{"a.b.c", "", 2},
		{"a.z", "", 1},
		{"f.b", "1", 2},
		{"f.g.c[0].d", "2", 4},
		{"f[h.i]", "4", 10},
		{"h.x", "1", 12},
		{"h.b", "1", 2},
		{"b", "6", 14},
	}
	for _, tt := range tests {
		node, line := find(root, tt.path)
		value := ""
		if node != nil {
			value = node.Value
		}
		if value != tt.value || line != tt.line {
			t.Errorf("%s: %q in line %d, want %q in line %d", tt.path, value, line, tt.value, tt.line)
		}
	}
	if node, line := find(nil, "a"); node != nil || line != 1 {
		t.Errorf("of nothing: %v in line %d, want line 1", node, line)
	}
}
