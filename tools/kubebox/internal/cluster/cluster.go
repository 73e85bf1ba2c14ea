// Package cluster says what one kubebox cluster is called, where its files are and which addresses it uses.
// It reads and writes the cluster's saved options, and never starts or stops anything.
package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// Addresses inside the node's network namespace. They are the same in every cluster,
// because nothing of a node's network is visible outside its namespace.
const (
	NodeName     = "kubebox"
	NodeIP       = "10.230.0.1"
	NodeCIDR     = "10.230.0.1/24"
	NodeBridge   = "node0"
	PodCIDR      = "10.244.0.0/16"
	ServiceCIDR  = "10.96.0.0/16"
	APIServiceIP = "10.96.0.1"
	DNSServiceIP = "10.96.0.10"
	APIAddress   = "127.0.0.1:6443"
	PauseImage   = "registry.local/pause:1"
	DefaultName  = "dev"
	DefaultState = "/var/tmp/kubebox"
	DefaultPort  = 16443
)

// Socket is the path of containerd's socket inside the node.
const Socket = "/run/containerd/containerd.sock"

// maxPath leaves room below the 107 bytes of a unix socket's path for what the kubelet adds to its root directory.
const maxPath = 64

var (
	namePattern  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$`)
	statePattern = regexp.MustCompile(`^/[A-Za-z0-9._/-]+$`)
)

// Cluster is the identity of one cluster: its name, unique within a state directory.
type Cluster struct {
	Name  string
	State string
}

// New checks name and state and makes state absolute.
func New(name, state string) (Cluster, error) {
	if !namePattern.MatchString(name) {
		return Cluster{}, fmt.Errorf("cluster name %q: want lower case letters, digits and dashes, at most 32", name)
	}
	abs, err := filepath.Abs(state)
	if err != nil {
		return Cluster{}, fmt.Errorf("state directory %q: %w", state, err)
	}
	c := Cluster{Name: name, State: abs}
	switch {
	case !statePattern.MatchString(abs):
		return Cluster{}, fmt.Errorf("state directory %q: only letters, digits, dot, dash, underscore and slash are possible", abs)
	case len(c.Dir()) > maxPath:
		return Cluster{}, fmt.Errorf("state directory %q: %s is longer than %d bytes, too long for the sockets below it", abs, c.Dir(), maxPath)
	case within(abs, "/run") || within(abs, "/proc") || within(abs, "/sys"):
		return Cluster{}, fmt.Errorf("state directory %q: not possible below /run, /proc or /sys, which the node replaces", abs)
	}
	return c, nil
}

func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// Dir is the folder with everything that belongs to the cluster.
func (c Cluster) Dir() string { return filepath.Join(c.State, c.Name) }

// Path joins elements below Dir.
func (c Cluster) Path(elem ...string) string {
	return filepath.Join(append([]string{c.Dir()}, elem...)...)
}

// LockFile is locked by every command that starts or stops the cluster. It is outside Dir, so that Dir can be removed under the lock.
func (c Cluster) LockFile() string { return filepath.Join(c.State, "."+c.Name+".lock") }

// PKI is a certificate, key or kubeconfig.
func (c Cluster) PKI(file string) string { return c.Path("pki", file) }

// Etc is a rendered configuration file.
func (c Cluster) Etc(file string) string { return c.Path("etc", file) }

// Log is the log file of a component.
func (c Cluster) Log(component string) string { return c.Path("log", component+".log") }

// Run is a file that has a meaning only while the cluster runs.
func (c Cluster) Run(file string) string { return c.Path("run", file) }

// Kubeconfig is the administrator's kubeconfig for use on the host.
func (c Cluster) Kubeconfig() string { return c.PKI("admin.kubeconfig") }

// NodeKubeconfig is the administrator's kubeconfig for use inside the node.
func (c Cluster) NodeKubeconfig() string { return c.PKI("node-admin.kubeconfig") }

// HostID is the file with the identity of the host daemon.
func (c Cluster) HostID() string { return c.Run("host.json") }

// NodeID is the file with the identity of the node's first process.
func (c Cluster) NodeID() string { return c.Run("node.json") }

// HostSocket is the control socket of the host daemon.
func (c Cluster) HostSocket() string { return c.Run("host.sock") }

// NodeSocket is the control socket of the node's supervisor.
func (c Cluster) NodeSocket() string { return c.Run("node.sock") }

// Cgroup is the name of the cluster's own group in each cgroup hierarchy. It holds a
// hash of the state directory, so that equal names in two state directories do not meet.
func (c Cluster) Cgroup() string {
	sum := sha256.Sum256([]byte(c.State))
	return "kubebox-" + c.Name + "-" + hex.EncodeToString(sum[:4])
}

// Options are what the cluster was last started with.
type Options struct {
	// Port of 127.0.0.1 on the host where the API server is reached.
	Port int `json:"port"`
	// Audit turns the API server's audit log on.
	Audit bool `json:"audit"`
}

// AuditLog is the path of the API server's audit log.
func (c Cluster) AuditLog() string { return c.Path("log", "audit.log") }

// LoadOptions returns the saved options, and false if the cluster was never started.
func (c Cluster) LoadOptions() (Options, bool, error) {
	var o Options
	b, err := os.ReadFile(c.Path("cluster.json"))
	if errors.Is(err, os.ErrNotExist) {
		return o, false, nil
	}
	if err != nil {
		return o, false, fmt.Errorf("read options of cluster %s: %w", c.Name, err)
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return o, false, fmt.Errorf("read %s: %w", c.Path("cluster.json"), err)
	}
	return o, true, nil
}

// SaveOptions writes the options that LoadOptions returns.
func (c Cluster) SaveOptions(o Options) error {
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encode options of cluster %s: %w", c.Name, err)
	}
	if err := os.WriteFile(c.Path("cluster.json"), append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("save options of cluster %s: %w", c.Name, err)
	}
	return nil
}
