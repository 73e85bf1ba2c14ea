//go:build linux

package host

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
	"github.com/khronicle/khronicle/tools/kubebox/internal/control"
	"github.com/khronicle/khronicle/tools/kubebox/internal/proc"
)

// Status describes a running cluster.
type Status struct {
	Name       string `json:"name"`
	Dir        string `json:"dir"`
	Server     string `json:"server"`
	Kubeconfig string `json:"kubeconfig"`
	// AuditLog is empty without an audit log.
	AuditLog string `json:"auditLog,omitempty"`
	// HostPID and NodePID are the host daemon and the node's first process.
	HostPID int   `json:"hostPid"`
	NodePID int   `json:"nodePid"`
	Exposed []int `json:"exposed"`
	control.NodeStatus
}

// AllUp reports whether the cluster has booted and every component runs.
func (s Status) AllUp() bool {
	for _, c := range s.Components {
		if c.State != control.Running {
			return false
		}
	}
	return s.Booted
}

// ReadStatus asks the running cluster. Component pids are those of the host.
func ReadStatus(ctx context.Context, c cluster.Cluster) (Status, error) {
	host, node := proc.Load(c.HostID()), proc.Load(c.NodeID())
	if !host.Alive() || !node.Alive() {
		return Status{}, NotRunning(c)
	}
	options, _, err := c.LoadOptions()
	if err != nil {
		return Status{}, err
	}
	s := Status{
		Name: c.Name, Dir: c.Dir(), Server: "https://" + hostAddress(options.Port), Kubeconfig: c.Kubeconfig(),
		HostPID: host.PID, NodePID: node.PID,
	}
	if options.Audit {
		s.AuditLog = c.AuditLog()
	}
	if err := control.Call(ctx, c.NodeSocket(), "/status", control.None{}, &s.NodeStatus); err != nil {
		return Status{}, fmt.Errorf("ask the node: %w", err)
	}
	var h control.HostStatus
	if err := control.Call(ctx, c.HostSocket(), "/status", control.None{}, &h); err != nil {
		return Status{}, fmt.Errorf("ask the host daemon: %w", err)
	}
	s.Exposed = h.Exposed
	inner, err := proc.InnerPids(node.PID)
	if err != nil {
		return Status{}, err
	}
	for i := range s.Components {
		s.Components[i].PID = inner[s.Components[i].PID]
	}
	return s, nil
}

// WriteJSON writes the status for programs.
func (s Status) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(s)
}

// WriteText writes the status for people.
func (s Status) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "cluster     %s, host daemon %d, node %d\n", s.Name, s.HostPID, s.NodePID)
	fmt.Fprintf(w, "server      %s\nkubeconfig  %s\nlogs        %s/log\n", s.Server, s.Kubeconfig, s.Dir)
	if s.AuditLog != "" {
		fmt.Fprintf(w, "audit log   %s\n", s.AuditLog)
	}
	if len(s.Exposed) > 0 {
		fmt.Fprintf(w, "exposed     %s\n", strings.Trim(fmt.Sprint(s.Exposed), "[]"))
	}
	switch {
	case s.BootError != "":
		fmt.Fprintf(w, "boot        failed: %s\n", s.BootError)
	case !s.Booted:
		fmt.Fprintln(w, "boot        in progress")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nCOMPONENT\tSTATE\tPID\tRESTARTS\tUP SINCE\tLAST EXIT")
	for _, c := range s.Components {
		since, pid := "-", "-"
		if c.PID != 0 {
			since, pid = c.Since.Local().Format(time.DateTime), fmt.Sprint(c.PID)
		}
		state := string(c.State)
		if c.Hold && c.State != control.Held {
			state += " (held)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", c.Name, state, pid, c.Restarts, since, c.LastExit)
	}
	return t.Flush()
}
