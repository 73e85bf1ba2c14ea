package check_test

import (
	"strings"
	"testing"

	"github.com/khronicle/khronicle/check"
)

func TestMayLoseLogEnd(t *testing.T) {
	tests := []struct {
		runtime string
		want    string // part of why
	}{
		{"containerd://1.6.20~ds1", "containerd 1.6.20~ds1 of the node"},
		{"containerd://1.6.21", "containerd 1.6.21 of the node"},
		{"containerd://1.6.22", ""},
		{"containerd://1.6.36-k3s1", ""},
		{"containerd://1.7.0", "containerd 1.7.0 of the node"},
		{"containerd://1.7.2-rc.1", "containerd 1.7.2-rc.1 of the node"},
		{"containerd://1.7.3", ""},
		{"containerd://1.10.0", ""},
		{"containerd://2.0.0", ""},
		{"containerd://v2.1.4", ""},
		{"containerd://1.5.18", "containerd 1.5.18 of the node"},
		{"containerd://devel", `version of the node's container runtime "containerd://devel" is not known`},
		{"containerd://1.7", "is not known"},
		{"cri-o://1.33.0", `"cri-o://1.33.0" writes a log to its end`},
		{"", "writes a log to its end"},
	}
	for _, tt := range tests {
		t.Run(tt.runtime, func(t *testing.T) {
			if got := check.MayLoseLogEnd(tt.runtime); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want a part %q", got, tt.want)
			}
		})
	}
}
