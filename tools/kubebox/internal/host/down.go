//go:build linux

package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
	"github.com/khronicle/khronicle/tools/kubebox/internal/proc"
)

// endLimit is how long a killed process may take to end: the kernel first ends all others of its PID namespace.
const endLimit = 30 * time.Second

// Down ends the cluster and removes its cgroups. With wipe its folder goes too. A cluster that does not run is no error.
func Down(c cluster.Cluster, wipe bool, progress io.Writer) error {
	if err := checkRoot(); err != nil {
		return err
	}
	if _, err := os.Stat(c.Dir()); errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(progress, "kubebox: there is no cluster %s in %s\n", c.Name, c.State)
		return nil
	}
	held, err := lock(c, progress)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := cleanUp(c); err != nil {
		return err
	}
	if wipe {
		if err := os.RemoveAll(c.Dir()); err != nil {
			return fmt.Errorf("wipe cluster %s: %w", c.Name, err)
		}
	}
	fmt.Fprintf(progress, "kubebox: cluster %s is down\n", c.Name)
	return nil
}

// cleanUp ends every process of the cluster and removes its cgroups and run files. It works from any state,
// also after one of the processes was killed, and does nothing if there is nothing.
func cleanUp(c cluster.Cluster) error {
	host, node := proc.Load(c.HostID()), proc.Load(c.NodeID())
	for _, id := range []proc.ID{node, host} { // the host daemon ends when the node has
		if err := end(id); err != nil {
			return err
		}
	}
	// What `kubebox exec` started is in no PID namespace of ours, and would keep mounts and interfaces alive.
	guests, err := proc.WithEnv(ExecMark(c))
	if err != nil {
		return err
	}
	for _, id := range guests {
		if id.PID == os.Getpid() {
			continue // `kubebox exec -- kubebox down`
		}
		if err := end(id); err != nil {
			return err
		}
	}
	if err := removeCgroups(c); err != nil {
		return err
	}
	if err := os.RemoveAll(c.Path("run")); err != nil {
		return fmt.Errorf("remove run files: %w", err)
	}
	return nil
}

func end(id proc.ID) error {
	if !id.Alive() {
		return nil
	}
	if err := id.Signal(unix.SIGKILL); err != nil {
		return err
	}
	if !id.Wait(endLimit) {
		return fmt.Errorf("process %d did not end %s after SIGKILL", id.PID, endLimit)
	}
	return nil
}
