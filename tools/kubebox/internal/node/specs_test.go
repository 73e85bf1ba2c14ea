//go:build linux

package node

import (
	"slices"
	"testing"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
)

func apiServerSpec(t *testing.T, o cluster.Options) []string {
	t.Helper()
	c, err := cluster.New("dev", "/var/tmp/box")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range specs(c, o, "/usr/bin/containerd") {
		if s.name == apiServer {
			return s.args
		}
	}
	t.Fatal("no API server")
	return nil
}

func TestAuditLogIsWrittenOnlyOnRequest(t *testing.T) {
	const flag = "--audit-log-path=/var/tmp/box/dev/log/audit.log"
	for _, audit := range []bool{true, false} {
		if got := slices.Contains(apiServerSpec(t, cluster.Options{Audit: audit}), flag); got != audit {
			t.Errorf("with Audit %v the API server has %s: %v", audit, flag, got)
		}
	}
}

func TestAPIServerAdvertisesTheNode(t *testing.T) {
	args := apiServerSpec(t, cluster.Options{})
	for _, want := range []string{"--advertise-address=10.230.0.1", "--secure-port=6443"} {
		if !slices.Contains(args, want) {
			t.Errorf("API server lacks %s: %q", want, args)
		}
	}
}
