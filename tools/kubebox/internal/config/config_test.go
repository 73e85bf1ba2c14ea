package config_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
	"github.com/khronicle/khronicle/tools/kubebox/internal/config"
)

func render(t *testing.T) (cluster.Cluster, map[string][]byte) {
	t.Helper()
	c, err := cluster.New("chaos", "/var/tmp/box")
	if err != nil {
		t.Fatal(err)
	}
	files, err := config.Render(c, "/usr/lib/cni")
	if err != nil {
		t.Fatal(err)
	}
	return c, files
}

func TestRenderedFilesCarryTheClusterPaths(t *testing.T) {
	c, files := render(t)
	tests := []struct{ file, want string }{
		{"containerd.toml", `root = "/var/tmp/box/chaos/containerd/root"`},
		{"containerd.toml", "restrict_oom_score_adj = true"},
		{"containerd.toml", `bin_dir = "/usr/lib/cni"`},
		{"kubelet.yaml", "cgroupRoot: /" + c.Cgroup() + "\n"},
		{"kubelet.yaml", "failCgroupV1: false"},
		{"kubelet.yaml", "imageGCHighThresholdPercent: 100"},
		{"kube-proxy.yaml", "kubeconfig: /var/tmp/box/chaos/pki/proxy.kubeconfig"},
		{"Corefile", "10.230.0.1 host.kubebox"},
		{"audit-policy.yaml", "omitStages: [RequestReceived]"},
		{"resolv.conf", "nameserver 10.96.0.10"},
	}
	for _, tt := range tests {
		if got := string(files[tt.file]); !strings.Contains(got, tt.want) {
			t.Errorf("%s lacks %q:\n%s", tt.file, tt.want, got)
		}
	}
}

func TestRenderedFilesParse(t *testing.T) {
	_, files := render(t)
	for name, text := range files {
		switch {
		case strings.HasSuffix(name, ".yaml"):
			var v map[string]any
			if err := yaml.Unmarshal(text, &v); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case strings.HasSuffix(name, ".conflist"):
			if !json.Valid(text) {
				t.Errorf("%s is not JSON:\n%s", name, text)
			}
		}
	}
}

func TestWritePutsFilesInPlace(t *testing.T) {
	state, err := os.MkdirTemp("/tmp", "kb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	c, err := cluster.New("w", state)
	if err != nil {
		t.Fatal(err)
	}
	if err := config.Write(c, "/usr/lib/cni"); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"kubelet.yaml", "cni/10-kubebox.conflist"} {
		if _, err := os.Stat(c.Etc(f)); err != nil {
			t.Error(err)
		}
	}
}
