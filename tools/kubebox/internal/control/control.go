// Package control is the protocol between the kubebox command and a running cluster: JSON over HTTP on unix
// sockets in the cluster's run folder. One socket belongs to the host daemon, one to the node's supervisor.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// State is what a component is doing.
type State string

// States of a component.
const (
	// Waiting components start when what they need is ready.
	Waiting State = "waiting"
	Running State = "running"
	// Stopped components are paused by SIGSTOP.
	Stopped State = "stopped"
	// Restarting components have ended and start again after a delay.
	Restarting State = "restarting"
	// Held components have ended and start again only on request.
	Held State = "held"
)

// Component is the state of one component.
type Component struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// PID is the pid inside the node until the client has replaced it by the pid on the host. 0 means no process.
	PID      int       `json:"pid,omitempty"`
	Restarts int       `json:"restarts"`
	Since    time.Time `json:"since,omitzero"`
	// Hold says that the supervisor will not start the component again when it ends.
	Hold bool `json:"hold,omitempty"`
	// LastExit describes how the last process ended.
	LastExit string `json:"lastExit,omitempty"`
}

// NodeStatus is the answer of the node to POST /status.
type NodeStatus struct {
	// Booted is true when every component was started once and cluster DNS answered.
	Booted bool `json:"booted"`
	// BootError says why the node will not boot.
	BootError  string      `json:"bootError,omitempty"`
	Components []Component `json:"components"`
}

// HostStatus is the answer of the host daemon to POST /status.
type HostStatus struct {
	Exposed []int `json:"exposed"`
}

// KillRequest is the body of POST /kill to the node.
type KillRequest struct {
	Component string `json:"component"`
	Signal    string `json:"signal"`
	Hold      bool   `json:"hold"`
}

// StartRequest is the body of POST /start to the node.
type StartRequest struct {
	Component string `json:"component"`
}

// ImportRequest is the body of POST /import to the node. File is the name of an archive in the cluster's images folder.
type ImportRequest struct {
	File string `json:"file"`
}

// ExposeRequest is the body of POST /expose to the host daemon.
type ExposeRequest struct {
	Ports []int `json:"ports"`
}

// None is an empty request or answer.
type None struct{}

// Handle makes an HTTP handler of f: it decodes the request, and encodes the answer, or the error with status 400.
func Handle[In, Out any](f func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil && !errors.Is(err, io.EOF) {
			http.Error(w, "decode request: "+err.Error(), http.StatusBadRequest)
			return
		}
		out, err := f(r.Context(), in)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out)
	}
}

// Serve answers requests on a new socket at path in the background.
func Serve(path string, handler http.Handler) (*http.Server, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on control socket: %w", err)
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.Serve(ln) }()
	return s, nil
}

// Call sends in to the path at the socket and decodes the answer into out.
func Call(ctx context.Context, socket, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://kubebox"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request %s: %w", path, err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return errors.New(strings.TrimSpace(string(text)))
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("decode answer to %s: %w", path, err)
	}
	return nil
}
