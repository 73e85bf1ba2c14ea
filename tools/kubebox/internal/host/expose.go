//go:build linux

package host

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
	"github.com/khronicle/khronicle/tools/kubebox/internal/control"
	"github.com/khronicle/khronicle/tools/kubebox/internal/netns"
)

// exposer makes ports of the host's 127.0.0.1 reachable at the node's address.
type exposer struct {
	space     *netns.Namespace
	mu        sync.Mutex
	listeners map[int]net.Listener
}

func (e *exposer) expose(ctx context.Context, r control.ExposeRequest) (control.HostStatus, error) {
	for _, port := range r.Ports {
		if err := e.one(port); err != nil {
			return control.HostStatus{}, err
		}
	}
	return e.status(ctx, control.None{})
}

func (e *exposer) one(port int) error {
	if port < 1 || port > 65535 {
		return fmt.Errorf("expose port %d: no such port", port)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.listeners[port]; ok {
		return nil
	}
	// The listener outlives the request that asked for it.
	ln, err := e.space.Listen(context.Background(), "tcp", net.JoinHostPort(cluster.NodeIP, strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("expose port %d in the node: %w", port, err)
	}
	e.listeners[port] = ln
	go func() {
		_ = netns.Forward(ln, func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", hostAddress(port))
		})
	}()
	slog.Info("exposed", "port", port)
	return nil
}

func (e *exposer) status(context.Context, control.None) (control.HostStatus, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return control.HostStatus{Exposed: slices.Sorted(maps.Keys(e.listeners))}, nil
}
