// Package config renders the configuration files of a cluster's components.
// It writes files and knows nothing of processes.
package config

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
)

//go:embed files
var files embed.FS

// targets maps an embedded template to its place below the cluster's etc folder.
var targets = map[string]string{
	"containerd.toml":   "containerd.toml",
	"kubelet.yaml":      "kubelet.yaml",
	"kube-proxy.yaml":   "kube-proxy.yaml",
	"Corefile":          "Corefile",
	"cni.conflist":      "cni/10-kubebox.conflist",
	"audit-policy.yaml": "audit-policy.yaml",
	"resolv.conf":       "resolv.conf",
}

// values are what the templates may name.
type values struct {
	Dir, Cgroup, CNIBin, Socket, PauseImage, NodeName, NodeIP, PodCIDR, DNSServiceIP string
}

// Render returns the text of every file by its path below the cluster's etc folder.
// cniBin is the folder of the CNI plugins.
func Render(c cluster.Cluster, cniBin string) (map[string][]byte, error) {
	v := values{
		Dir: c.Dir(), Cgroup: c.Cgroup(), CNIBin: cniBin, Socket: cluster.Socket, PauseImage: cluster.PauseImage,
		NodeName: cluster.NodeName, NodeIP: cluster.NodeIP, PodCIDR: cluster.PodCIDR, DNSServiceIP: cluster.DNSServiceIP,
	}
	out := make(map[string][]byte, len(targets))
	for name, target := range targets {
		t, err := template.New(name).Option("missingkey=error").ParseFS(files, "files/"+name)
		if err != nil {
			return nil, fmt.Errorf("parse template %s: %w", name, err)
		}
		var b bytes.Buffer
		if err := t.Execute(&b, v); err != nil {
			return nil, fmt.Errorf("render %s: %w", name, err)
		}
		out[target] = b.Bytes()
	}
	return out, nil
}

// Write renders all files into the cluster's etc folder.
func Write(c cluster.Cluster, cniBin string) error {
	rendered, err := Render(c, cniBin)
	if err != nil {
		return err
	}
	for target, text := range rendered {
		path := c.Etc(target)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("create folder of %s: %w", path, err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}
