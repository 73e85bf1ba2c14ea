//go:build linux

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroupHierarchies returns the mount points of the machine's cgroup hierarchies: one with version 2, one for each controller with version 1.
func cgroupHierarchies() ([]string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(cgroupRoot, &st); err != nil {
		return nil, fmt.Errorf("look at %s: %w", cgroupRoot, err)
	}
	if st.Type == unix.CGROUP2_SUPER_MAGIC {
		return []string{cgroupRoot}, nil
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil, fmt.Errorf("list cgroup hierarchies: %w", err)
	}
	var dirs []string
	for _, e := range entries {
		// Links, such as cpu to cpu,cpuacct, lead to a hierarchy that is in the list under its own name.
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(cgroupRoot, e.Name()))
		}
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("no cgroup hierarchy is mounted below %s", cgroupRoot)
	}
	return dirs, nil
}

// createCgroups makes the cluster's group in each hierarchy. The kubelet makes its own groups
// inside, but expects this one, and with version 1 a cpuset without processors takes no process.
func createCgroups(c cluster.Cluster) error {
	hierarchies, err := cgroupHierarchies()
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		dir := filepath.Join(h, c.Cgroup())
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("create cgroup %s: %w (kubebox needs a writable cgroup hierarchy)", dir, err)
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if err := copyCpuset(h, dir, file); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyCpuset copies a cpuset setting from the root of a hierarchy, if the root has it.
func copyCpuset(from, to, file string) error {
	b, err := os.ReadFile(filepath.Join(from, file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if err := os.WriteFile(filepath.Join(to, file), b, 0o644); err != nil {
		return fmt.Errorf("set %s of cgroup %s: %w", file, to, err)
	}
	return nil
}

// removeCgroups removes the groups of a cluster whose processes have ended. The kernel may need a moment
// until a group without processes counts as empty.
func removeCgroups(c cluster.Cluster) error {
	hierarchies, err := cgroupHierarchies()
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var failed error
		for _, h := range hierarchies {
			failed = errors.Join(failed, removeTree(filepath.Join(h, c.Cgroup())))
		}
		if failed == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("remove cgroups: %w", failed)
		}
	}
}

// removeTree removes folders only, deepest first: the files of a cgroup go with it.
func removeTree(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil // what vanished meanwhile needs no removal
	})
	for _, dir := range slices.Backward(dirs) {
		if e := unix.Rmdir(dir); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("%s: %w", dir, e))
		}
	}
	return err
}
