//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestStandalone runs all roles in one process and kills that process and Temporal while ten runs are in flight. It runs before
// the parallel tests.
func TestStandalone(t *testing.T) {
	roles := []string{"worker", "starter", "reportapi"}
	restart(t, append(roles, "temporal")...)
	for _, role := range roles {
		t.Logf("%s has %d MiB in memory", role, resident(t, role))
		under.stop(role)
	}
	t.Cleanup(func() { under.stop("standalone") }) // before the roles start again
	if err := under.start("standalone"); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"standalone", "temporal"} {
		t.Run(part+" is killed", func(t *testing.T) {
			if err := under.ready(time.Minute, "reportapi"); err != nil { // at the same address
				t.Fatal(err)
			}
			namespace, uuids := startRuns(t, "10s")
			under.kill(part)
			time.Sleep(2 * time.Second) // a part is not back at once
			if err := under.start(part); err != nil {
				t.Fatal(err)
			}
			everyRunHasItsOutcome(t, namespace, uuids, time.Minute)
		})
	}
	t.Logf("standalone has %d MiB in memory", resident(t, "standalone"))
	began := time.Now()
	under.stop("standalone")
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("the process took %s to stop in order, want at most 25 s", took)
	}
}

// resident returns the memory of a part of the stack in MiB.
func resident(t *testing.T, part string) (mib int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", under.processes[part].Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscan(rest, &mib); err != nil {
		t.Fatal(err)
	}
	return mib / 1024
}
