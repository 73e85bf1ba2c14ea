//go:build linux

package cli_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cli"
	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
)

// execute runs a command line against an empty state directory with the kubeconfig of a cluster named has.
func execute(t *testing.T, has string, args ...string) (out string, kubectl []string, err error) {
	t.Helper()
	state, err := os.MkdirTemp("/tmp", "kb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	t.Setenv("KUBEBOX_STATE", state)
	t.Setenv("KUBECONFIG", "/elsewhere")
	saved := os.Args
	t.Cleanup(func() { os.Args = saved })
	if has != "" {
		c, err := cluster.New(has, state)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(c.Path("pki"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.Kubeconfig(), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root := cli.New(func() { kubectl = slices.Clone(os.Args) })
	var b bytes.Buffer
	root.SetOut(&b)
	root.SetErr(&b)
	root.SetArgs(args)
	err = root.ExecuteContext(t.Context())
	return strings.ReplaceAll(b.String(), state, "STATE"), kubectl, err
}

func TestKubectlGetsItsFlagsUntouched(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want []string
	}{
		{"plain", []string{"kubectl", "get", "pods", "-n", "x", "--name", "y"}, []string{"kubectl", "get", "pods", "-n", "x", "--name", "y"}},
		{"after our own flag", []string{"--name", "two", "kubectl", "get", "--help"}, []string{"kubectl", "get", "--help"}},
		{"with dashes", []string{"kubectl", "exec", "p", "--", "ls", "-l"}, []string{"kubectl", "exec", "p", "--", "ls", "-l"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			has := "dev"
			if tt.args[0] == "--name" {
				has = tt.args[1]
			}
			_, got, err := execute(t, has, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("kubectl was called as %q, want %q", got, tt.want)
			}
			if want := "/" + has + "/pki/admin.kubeconfig"; !strings.HasSuffix(os.Getenv("KUBECONFIG"), want) {
				t.Errorf("KUBECONFIG = %q, want …%s", os.Getenv("KUBECONFIG"), want)
			}
		})
	}
}

func TestKubeconfigPrintsThePath(t *testing.T) {
	out, _, err := execute(t, "two", "kubeconfig", "--name", "two")
	if err != nil || out != "STATE/two/pki/admin.kubeconfig\n" {
		t.Errorf("output = %q, error = %v", out, err)
	}
}

func TestCommandsRefuseWhatTheyCannotDo(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"unknown command", []string{"upp"}, "unknown command"},
		{"bad name", []string{"status", "--name", "A"}, "cluster name"},
		{"bad port", []string{"up", "--port", "70000"}, "port 70000"},
		{"bad exposed port", []string{"expose", "http"}, `port "http"`},
		{"expose nothing", []string{"expose"}, "at least 1"},
		{"kill nothing", []string{"kill"}, "accepts 1"},
		{"status of nothing", []string{"status"}, "is not running"},
		{"kill in nothing", []string{"kill", "etcd", "--hold"}, "is not running"},
		{"expose to nothing", []string{"expose", "80"}, "is not running"},
		{"kubeconfig of nothing", []string{"kubeconfig"}, "never been started"},
		{"kubectl to nothing", []string{"kubectl", "get", "pods"}, "never been started"},
		{"image without tag", []string{"load-image", "x", "/bin/true"}, "NAME:TAG"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := execute(t, "", tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}
