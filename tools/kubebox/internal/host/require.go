//go:build linux

package host

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
	"github.com/khronicle/khronicle/tools/kubebox/internal/proc"
)

// PauseName is the file name of the pause program, which is expected beside this program.
const PauseName = "kubebox-pause"

// programs are the executables that the node runs, with the Debian package of each.
var programs = []struct{ name, pkg string }{
	{"containerd", "containerd"},
	{"containerd-shim-runc-v2", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{"nft", "nftables"},
	{"iptables", "iptables"},
	{"mount", "mount"},
	{"umount", "mount"},
}

// cniDirs are the places where distributions put the CNI plugins.
var cniDirs = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

var cniPlugins = []string{"bridge", "host-local", "loopback", "portmap"}

// checkRoot fails unless the process may make namespaces.
func checkRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("kubebox needs root, for namespaces, mounts and containers")
	}
	return nil
}

// checkPrograms fails with the list of all packages that are missing.
func checkPrograms(lookPath func(string) (string, error)) error {
	var missing, packages []string
	for _, p := range programs {
		if _, err := lookPath(p.name); err != nil {
			missing = append(missing, p.name)
			packages = append(packages, p.pkg)
		}
	}
	if cniDir(cniDirs) == "" {
		missing = append(missing, "CNI plugins "+strings.Join(cniPlugins, ", "))
		packages = append(packages, "containernetworking-plugins")
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(packages)
	return fmt.Errorf("missing: %s; install with: apt-get install --no-install-recommends %s",
		strings.Join(missing, ", "), strings.Join(slices.Compact(packages), " "))
}

// cniDir returns the first folder that has all plugins, or "".
func cniDir(candidates []string) string {
	for _, dir := range candidates {
		complete := !slices.ContainsFunc(cniPlugins, func(p string) bool {
			_, err := os.Stat(filepath.Join(dir, p))
			return err != nil
		})
		if complete {
			return dir
		}
	}
	return ""
}

// pauseProgram returns the path of the pause program.
func pauseProgram() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	if target, err := filepath.EvalSymlinks(self); err == nil {
		self = target
	}
	path := filepath.Join(filepath.Dir(self), PauseName)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is missing; build it with: CGO_ENABLED=0 go build -C tools/kubebox -o %s ./pause", path, path)
	}
	return path, nil
}

// checkStateFS refuses a state directory on overlayfs: containerd's overlay cannot be stacked on it.
func checkStateFS(c cluster.Cluster) error {
	var st unix.Statfs_t
	if err := unix.Statfs(c.State, &st); err != nil {
		return fmt.Errorf("look at state directory %s: %w", c.State, err)
	}
	if st.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return fmt.Errorf("state directory %s is on overlayfs; choose one on a disk with --state", c.State)
	}
	return nil
}

// checkPort fails if another process listens on the port, and says which cluster if it is a kubebox.
func checkPort(port int) error {
	ln, err := net.Listen("tcp", hostAddress(port))
	if err == nil {
		return ln.Close()
	}
	if owner := portOwner(port); owner != "" {
		return fmt.Errorf("port %d is taken by kubebox cluster %s; choose another with --port", port, owner)
	}
	return fmt.Errorf("port %d is not free: %w; choose another with --port", port, err)
}

// portOwner names the kubebox cluster whose host daemon has the port, "" if there is none.
func portOwner(port int) string {
	pids, err := proc.Pids()
	if err != nil {
		return ""
	}
	for _, pid := range pids {
		args := proc.Args(pid)
		if len(args) == 0 || args[0] != Arg0 {
			continue
		}
		if c, p, err := parseArgs(args[1:]); err == nil && p == port {
			return fmt.Sprintf("%q (state directory %s, pid %d)", c.Name, c.State, pid)
		}
	}
	return ""
}

// lookPath finds an executable by the PATH that the node will have.
func lookPath(name string) (string, error) {
	for dir := range strings.SplitSeq(nodePath, ":") {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}
