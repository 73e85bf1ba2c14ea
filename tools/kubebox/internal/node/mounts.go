//go:build linux

package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
)

// sharedDirs are the places outside the state directory that the kubelet and CNI insist on.
// The node sees folders of the cluster there.
var sharedDirs = []string{"/var/lib/cni", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods"}

// fakeSysctls are settings of the whole machine that the kubelet wants to change.
// It is shown files that already hold what it wants; the machine keeps its own values.
var fakeSysctls = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// setUpMounts makes the mount namespace private and gives it its own /proc, /sys and /run.
func setUpMounts(c cluster.Cluster) error {
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mountSys(c.Path("fs", "cgroup")); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	if err := mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, dir := range sharedDirs {
		if err := bindDir(c.Path("fs", dir), dir); err != nil {
			return err
		}
	}
	if err := hideSysctls(c.Path("fs", "sysctl")); err != nil {
		return err
	}
	if err := bindResolvConf(c.Etc("resolv.conf")); err != nil {
		return err
	}
	// Shared inside the namespace: the kubelet and containerd see each other's mounts.
	return mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}

// mountSys mounts a sysfs of this network namespace. It would hide the cgroup hierarchies, so they are kept at tmp meanwhile.
func mountSys(tmp string) error {
	const cgroups = "/sys/fs/cgroup"
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return fmt.Errorf("create %s: %w", tmp, err)
	}
	if err := mount(cgroups, tmp, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return err
	}
	if err := mount(tmp, cgroups, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := unix.Unmount(tmp, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", tmp, err)
	}
	return nil
}

func bindDir(source, target string) error {
	for _, dir := range []string{source, target} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("create %s: %w", dir, err)
		}
	}
	return mount(source, target, "", unix.MS_BIND, "")
}

func hideSysctls(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create %s: %w", dir, err)
	}
	for name, value := range fakeSysctls {
		target := filepath.Join("/proc/sys", name)
		if _, err := os.Stat(target); errors.Is(err, os.ErrNotExist) {
			continue // the kernel was built without it
		}
		fake := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(fake, []byte(value+"\n"), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", fake, err)
		}
		if err := mount(fake, target, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

// bindResolvConf makes the node's processes ask the cluster's DNS.
func bindResolvConf(source string) error {
	const target = "/etc/resolv.conf"
	if _, err := os.Stat(target); err == nil {
		return mount(source, target, "", unix.MS_BIND, "")
	}
	link, err := os.Readlink(target)
	if err != nil {
		return nil // no such file on this machine; only the node's own processes miss it
	}
	if !filepath.IsAbs(link) {
		link = filepath.Join("/etc", link)
	}
	// A link to below /run, now an empty file system of the node's own.
	text, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("read %s: %w", source, err)
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return fmt.Errorf("create folder of %s: %w", link, err)
	}
	if err := os.WriteFile(link, text, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", link, err)
	}
	return nil
}

func mount(source, target, fstype string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		return fmt.Errorf("mount %q on %s: %w", source, target, err)
	}
	return nil
}
