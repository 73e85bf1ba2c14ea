//go:build linux

package host

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
	"github.com/khronicle/khronicle/tools/kubebox/internal/control"
)

func TestCheckProgramsNamesThePackages(t *testing.T) {
	err := checkPrograms(func(name string) (string, error) {
		if name == "nft" || strings.HasPrefix(name, "c") {
			return "", errors.New("absent")
		}
		return "/bin/" + name, nil
	})
	if err == nil {
		t.Fatal("checkPrograms() succeeded")
	}
	for _, want := range []string{"containerd-shim-runc-v2", "apt-get install", " nftables"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	if strings.Count(err.Error(), "recommends containerd ") != 1 || strings.Contains(err.Error(), "iptables") {
		t.Errorf("error %q should name each missing package once and no other", err)
	}
}

func TestCNIDirNeedsAllPlugins(t *testing.T) {
	partial, complete := t.TempDir(), t.TempDir()
	for i, p := range cniPlugins {
		for _, dir := range []string{partial, complete} {
			if dir == partial && i == 0 {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, p), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := cniDir([]string{"/nonexistent", partial, complete}); got != complete {
		t.Errorf("cniDir() = %q, want %q", got, complete)
	}
	if got := cniDir([]string{partial}); got != "" {
		t.Errorf("cniDir() = %q, want none", got)
	}
}

func TestCheckPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if err := checkPort(port); err == nil || !strings.Contains(err.Error(), "--port") {
		t.Errorf("checkPort() of a taken port = %v, want advice", err)
	}
	ln.Close()
	if err := checkPort(port); err != nil {
		t.Errorf("checkPort() of a free port = %v", err)
	}
}

func TestDaemonArgumentsSurvive(t *testing.T) {
	c, err := cluster.New("chaos", "/var/tmp/box")
	if err != nil {
		t.Fatal(err)
	}
	got, port, err := parseArgs(args(c, 17443))
	if got != c || port != 17443 || err != nil {
		t.Errorf("parseArgs() = %+v, %d, %v", got, port, err)
	}
}

func TestChooseKeepsThePort(t *testing.T) {
	saved := cluster.Options{Port: 17000, Audit: true}
	tests := []struct {
		name  string
		known bool
		want  UpOptions
		out   cluster.Options
	}{
		{"the first start", false, UpOptions{}, cluster.Options{Port: cluster.DefaultPort}},
		{"the first start with options", false, UpOptions{Port: 5, Audit: true}, cluster.Options{Port: 5, Audit: true}},
		{"a later start keeps the port", true, UpOptions{}, cluster.Options{Port: 17000}},
		{"a later start with another port", true, UpOptions{Port: 5}, cluster.Options{Port: 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := saved
			if !tt.known {
				s = cluster.Options{}
			}
			if got := choose(s, tt.known, tt.want); got != tt.out {
				t.Errorf("choose() = %+v, want %+v", got, tt.out)
			}
		})
	}
}

func TestCompatible(t *testing.T) {
	running := cluster.Options{Port: 17000}
	audited := cluster.Options{Port: 17000, Audit: true}
	tests := []struct {
		name    string
		running cluster.Options
		want    UpOptions
		ok      bool
	}{
		{"nothing asked", running, UpOptions{}, true},
		{"the same port", running, UpOptions{Port: 17000}, true},
		{"another port", running, UpOptions{Port: 17001}, false},
		{"audit asked, absent", running, UpOptions{Audit: true}, false},
		{"audit asked, present", audited, UpOptions{Audit: true}, true},
		{"audit present, not asked", audited, UpOptions{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := compatible(cluster.Cluster{Name: "x"}, tt.running, tt.want); (err == nil) != tt.ok {
				t.Errorf("compatible() = %v, want ok %v", err, tt.ok)
			}
		})
	}
}

func TestRemoveTreeRemovesFoldersOnly(t *testing.T) {
	root := filepath.Join(t.TempDir(), "group")
	if err := os.MkdirAll(filepath.Join(root, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := removeTree(root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the tree is still there: %v", err)
	}
	if err := removeTree(root); err != nil {
		t.Errorf("removing what is absent: %v", err)
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := removeTree(root); err == nil {
		t.Error("a folder with a file was removed")
	}
}

func TestStatusIsUpOnlyIfAllIs(t *testing.T) {
	up := control.Component{Name: "etcd", State: control.Running, PID: 1, Since: time.Now()}
	held := control.Component{Name: "kubelet", State: control.Held}
	tests := []struct {
		name string
		node control.NodeStatus
		want bool
	}{
		{"all run", control.NodeStatus{Booted: true, Components: []control.Component{up}}, true},
		{"one is held", control.NodeStatus{Booted: true, Components: []control.Component{up, held}}, false},
		{"still booting", control.NodeStatus{Components: []control.Component{up}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Status{NodeStatus: tt.node}).AllUp(); got != tt.want {
				t.Errorf("AllUp() = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestStatusTextShowsWhatATesterNeeds(t *testing.T) {
	s := Status{
		Name: "dev", Dir: "/var/tmp/box/dev", AuditLog: "/var/tmp/box/dev/log/audit.log", Exposed: []int{80, 81},
		NodeStatus: control.NodeStatus{Booted: true, Components: []control.Component{
			{Name: "kubelet", State: control.Held, Restarts: 3, Hold: true, LastExit: "killed by SIGKILL"},
		}},
	}
	var b strings.Builder
	if err := s.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/var/tmp/box/dev/log/audit.log", "80 81", "kubelet", "held", "killed by SIGKILL"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("status lacks %q:\n%s", want, b.String())
		}
	}
}
