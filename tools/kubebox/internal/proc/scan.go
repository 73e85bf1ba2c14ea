//go:build linux

package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Pids returns every process of this machine that the caller can see.
func Pids() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// SetName sets the name that ps and top show for this process. Failing is harmless.
func SetName(name string) {
	_ = os.WriteFile("/proc/self/comm", []byte(name), 0o644)
}

// Args returns the command line of a process, nil if it has ended.
func Args(pid int) []string {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// WithEnv returns the processes that have the entry NAME=value in their environment since their start.
func WithEnv(entry string) ([]ID, error) {
	pids, err := Pids()
	if err != nil {
		return nil, err
	}
	var found []ID
	for _, pid := range pids {
		id, err := Of(pid)
		if err != nil {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
		if err != nil {
			continue
		}
		for _, e := range bytes.Split(env, []byte{0}) {
			if string(e) == entry {
				found = append(found, id)
				break
			}
		}
	}
	return found, nil
}

// InnerPids maps the pids that processes have in the PID namespace of process first to their pids here.
func InnerPids(first int) (map[int]int, error) {
	space, err := os.Readlink(nsPath(first, "pid"))
	if err != nil {
		return nil, fmt.Errorf("read PID namespace of %d: %w", first, err)
	}
	pids, err := Pids()
	if err != nil {
		return nil, err
	}
	inner := map[int]int{}
	for _, pid := range pids {
		if s, err := os.Readlink(nsPath(pid, "pid")); err != nil || s != space {
			continue
		}
		status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
		if err != nil {
			continue
		}
		if n, ok := parseInnermost(string(status)); ok {
			inner[n] = pid
		}
	}
	return inner, nil
}

func nsPath(pid int, kind string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), "ns", kind)
}

// parseInnermost returns the last pid of the NSpid line: the one in the process's own namespace.
func parseInnermost(status string) (int, bool) {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(rest)
			if len(fields) == 0 {
				return 0, false
			}
			n, err := strconv.Atoi(fields[len(fields)-1])
			return n, err == nil
		}
	}
	return 0, false
}
