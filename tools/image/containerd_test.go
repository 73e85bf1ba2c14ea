//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// containerd starts a containerd of its own, and returns its ctr.
func containerd(t *testing.T) func(args ...string) string {
	t.Helper()
	for _, program := range []string{"containerd", "ctr"} {
		if _, err := exec.LookPath(program); err != nil || os.Getuid() != 0 {
			if os.Getenv("KHRONICLE_REQUIRE_ALL") == "1" {
				t.Fatalf("%s: %v, as user %d (KHRONICLE_REQUIRE_ALL is set)", program, err, os.Getuid())
			}
			t.Skipf("needs %s, and root: %v", program, err)
		}
	}
	dir, err := os.MkdirTemp("", "ctrd") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	config := filepath.Join(dir, "config.toml")
	text := "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\nroot = \"" + dir + "/root\"\nstate = \"" + dir + "/state\"\n" +
		"[grpc]\naddress = \"" + dir + "/s\"\n[ttrpc]\naddress = \"" + dir + "/t\"\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("containerd", "--config", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	ctr := func(args ...string) ([]byte, error) {
		return exec.CommandContext(t.Context(), "ctr", append([]string{"--address", dir + "/s", "--namespace", "k8s.io"}, args...)...).CombinedOutput()
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err := ctr("version"); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatalf("containerd does not answer: %v", err)
		}
	}
	return func(args ...string) string {
		t.Helper()
		out, err := ctr(args...)
		if err != nil {
			t.Fatalf("ctr %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
}

func TestContainerdTakesTheArchiveUnderItsName(t *testing.T) {
	archive := filepath.Join(results(t), "khcheck.tar")
	const image = "docker.io/khronicle/khcheck:v0.1.0"
	for name, args := range map[string][]string{
		"one platform, as kubebox does it": {"images", "import", "--no-unpack", archive},
		"all platforms, as kind does it":   {"images", "import", "--no-unpack", "--all-platforms", "--digests", archive},
	} {
		t.Run(name, func(t *testing.T) {
			ctr := containerd(t)
			ctr(args...)
			line := ""
			for one := range strings.Lines(ctr("images", "list")) {
				if strings.HasPrefix(one, image+" ") {
					line = one
				}
			}
			if !strings.Contains(line, "application/vnd.oci.image.index.v1+json") || !strings.Contains(line, "linux/amd64,linux/arm64") {
				t.Errorf("image %s is listed as %q, want the index of two platforms", image, line)
			}
		})
	}
}
