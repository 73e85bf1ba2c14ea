//go:build linux

package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
	"github.com/khronicle/khronicle/tools/kubebox/internal/config"
	"github.com/khronicle/khronicle/tools/kubebox/internal/image"
	"github.com/khronicle/khronicle/tools/kubebox/internal/pki"
)

// maxLog is the size from which a log starts anew at the next start of the cluster.
const maxLog = 50 << 20

// prepare checks that a cluster can run here, removes what a killed one left, and writes all that the new one reads.
func prepare(c cluster.Cluster, o cluster.Options) error {
	if err := checkPrograms(lookPath); err != nil {
		return err
	}
	if err := checkStateFS(c); err != nil {
		return err
	}
	pause, err := pauseProgram()
	if err != nil {
		return err
	}
	if err := cleanUp(c); err != nil {
		return err
	}
	if err := checkPort(o.Port); err != nil {
		return err
	}
	if err := createCgroups(c); err != nil {
		return err
	}
	if err := createDirs(c); err != nil {
		return err
	}
	if err := c.SaveOptions(o); err != nil {
		return err
	}
	if err := writeCredentials(c, o); err != nil {
		return err
	}
	if err := config.Write(c, cniDir(cniDirs)); err != nil {
		return err
	}
	if err := writePauseImage(c, pause); err != nil {
		return err
	}
	return trimLogs(c)
}

func createDirs(c cluster.Cluster) error {
	for dir, mode := range map[string]fs.FileMode{
		"run": 0o700, "log": 0o755, "etcd": 0o700, "kubelet": 0o755, "images": 0o755, "containerd/root": 0o711, "containerd/opt": 0o711,
	} {
		if err := os.MkdirAll(c.Path(dir), mode); err != nil {
			return fmt.Errorf("create %s: %w", c.Path(dir), err)
		}
	}
	return nil
}

// writeCredentials makes certificates once and kubeconfigs each time, because those name the port.
func writeCredentials(c cluster.Cluster, o cluster.Options) error {
	if err := pki.Ensure(c.Path("pki"), pki.Specs(cluster.NodeName, cluster.NodeIP, cluster.APIServiceIP)); err != nil {
		return err
	}
	context, inside := "kubebox-"+c.Name, "https://"+cluster.APIAddress
	if err := pki.WriteKubeconfig(c.Path("pki"), filepath.Base(c.Kubeconfig()), context, "https://"+hostAddress(o.Port), "admin"); err != nil {
		return err
	}
	if err := pki.WriteKubeconfig(c.Path("pki"), filepath.Base(c.NodeKubeconfig()), context, inside, "admin"); err != nil {
		return err
	}
	for _, user := range []string{"controller-manager", "scheduler", "proxy", "coredns", "kubelet-client"} {
		if err := pki.WriteKubeconfig(c.Path("pki"), user+".kubeconfig", context, inside, user); err != nil {
			return err
		}
	}
	return nil
}

// writePauseImage leaves an equal archive alone, so that the node does not import it again.
func writePauseImage(c cluster.Cluster, program string) error {
	var b bytes.Buffer
	if err := image.Pack(&b, cluster.PauseImage, []image.File{{Source: program, Target: "/pause"}}); err != nil {
		return err
	}
	path := c.Path("images", image.FileName(cluster.PauseImage))
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b.Bytes()) {
		return nil
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write pause image: %w", err)
	}
	return nil
}

// trimLogs empties logs that have grown too long.
func trimLogs(c cluster.Cluster) error {
	logs, err := filepath.Glob(c.Log("*"))
	if err != nil {
		return fmt.Errorf("list logs: %w", err)
	}
	for _, log := range logs {
		info, err := os.Stat(log)
		if err != nil || info.Size() <= maxLog {
			continue
		}
		if err := os.Truncate(log, 0); err != nil {
			return fmt.Errorf("empty log: %w", err)
		}
	}
	return nil
}

// logTails returns the last lines of the logs that tell why a cluster does not start.
func logTails(c cluster.Cluster) string {
	var b strings.Builder
	for _, name := range []string{"kubebox", "node"} {
		text, err := os.ReadFile(c.Log(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(&b, "%v\n", err)
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(&b, "end of %s:\n  %s\n", c.Log(name), strings.Join(lines[max(0, len(lines)-5):], "\n  "))
	}
	return b.String()
}
