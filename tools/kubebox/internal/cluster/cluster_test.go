package cluster_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
)

func TestNewRefusesWhatCannotWork(t *testing.T) {
	long := "/" + strings.Repeat("x", 70)
	tests := []struct {
		name, cluster, state string
		ok                   bool
	}{
		{"the defaults", cluster.DefaultName, cluster.DefaultState, true},
		{"a relative state directory", "a", "x", true},
		{"upper case", "Dev", "/var/tmp/x", false},
		{"no name", "", "/var/tmp/x", false},
		{"a name that leaves the state directory", "../x", "/var/tmp/x", false},
		{"a name too long", strings.Repeat("x", 33), "/x", false},
		{"a space in the path", "a", "/var/tmp/a b", false},
		{"a path too long for sockets", "a", long, false},
		{"below /run", "a", "/run/kubebox", false},
		{"beside /run", "a", "/runner", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir("/tmp")
			c, err := cluster.New(tt.cluster, tt.state)
			if (err == nil) != tt.ok {
				t.Fatalf("New() error = %v, want ok %v", err, tt.ok)
			}
			if err == nil && !filepath.IsAbs(c.Dir()) {
				t.Errorf("Dir() = %q, want an absolute path", c.Dir())
			}
		})
	}
}

func TestSocketsFitTheLongestPath(t *testing.T) {
	c, err := cluster.New("a", "/"+strings.Repeat("x", 61))
	if err != nil {
		t.Fatal(err)
	}
	// The deepest socket is one that the kubelet makes below its root directory.
	const limit = 107
	for _, socket := range []string{c.HostSocket(), c.NodeSocket(), c.Path("kubelet", "pod-resources", "kubelet.sock")} {
		if len(socket) > limit {
			t.Errorf("%s is longer than %d bytes", socket, limit)
		}
	}
}

func TestCgroupsOfEqualNamesDiffer(t *testing.T) {
	a, errA := cluster.New("dev", "/var/tmp/a")
	b, errB := cluster.New("dev", "/var/tmp/b")
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if a.Cgroup() == b.Cgroup() {
		t.Errorf("both clusters use cgroup %s", a.Cgroup())
	}
}

func TestOptionsSurviveAFile(t *testing.T) {
	c := cluster.Cluster{Name: ".", State: t.TempDir()}
	if _, known, err := c.LoadOptions(); known || err != nil {
		t.Fatalf("LoadOptions() before the first start = %v, %v; want unknown", known, err)
	}
	want := cluster.Options{Port: 17443, Audit: true}
	if err := c.SaveOptions(want); err != nil {
		t.Fatal(err)
	}
	got, known, err := c.LoadOptions()
	if got != want || !known || err != nil {
		t.Errorf("LoadOptions() = %+v, %v, %v; want %+v", got, known, err, want)
	}
}
