package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MayLoseLogEnd returns why a node can lose what a container wrote just before its end. It returns an empty string when the
// container runtime writes the log before it reports the end of the container. The runtime is that of the node's status,
// such as containerd://1.7.24.
//
// From 1.5.8 and 1.6.0 until 1.6.22 and 1.7.3, containerd closed a container's pipes before it had read them: see
// https://github.com/containerd/containerd/pull/8643. The rest never reached the log.
func MayLoseLogEnd(runtime string) string {
	name, version, ok := strings.Cut(runtime, "://")
	if !ok || name != "containerd" {
		return fmt.Sprintf("it is not known whether the node's container runtime %q writes a log to its end", runtime)
	}
	v, ok := parseVersion(version)
	switch {
	case !ok:
		return fmt.Sprintf("the version of the node's container runtime %q is not known", runtime)
	case slices.Compare(v, []int{1, 6, 22}) < 0, slices.Equal(v[:2], []int{1, 7}) && v[2] < 3:
		return fmt.Sprintf("containerd %s of the node can drop what a container writes just before its end; 1.6.22 and 1.7.3 do not", version)
	}
	return ""
}

// parseVersion reads the three numbers at the beginning of a version such as 1.6.20~ds1.
func parseVersion(text string) (v []int, ok bool) {
	parts := strings.SplitN(strings.TrimPrefix(text, "v"), ".", 3)
	if len(parts) != 3 {
		return nil, false
	}
	for _, part := range parts {
		digits := part[:len(part)-len(strings.TrimLeft(part, "0123456789"))]
		n, err := strconv.Atoi(digits)
		if err != nil {
			return nil, false
		}
		v = append(v, n)
	}
	return v, true
}
