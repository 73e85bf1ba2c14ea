//go:build linux

package node

import (
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
)

// setUpNetwork gives the node an address on a bridge without ports, and no way out of the namespace.
func setUpNetwork() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find link lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set link lo up: %w", err)
	}
	bridge, err := addBridge()
	if err != nil {
		return err
	}
	if err := addRoutes(bridge); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("turn IP forwarding on: %w", err)
	}
	return nil
}

func addBridge() (netlink.Link, error) {
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: cluster.NodeBridge}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return nil, fmt.Errorf("add link %s: %w", cluster.NodeBridge, err)
	}
	addr, err := netlink.ParseAddr(cluster.NodeCIDR)
	if err != nil {
		return nil, fmt.Errorf("parse node address: %w", err)
	}
	if err := netlink.AddrAdd(bridge, addr); err != nil {
		return nil, fmt.Errorf("add address %s: %w", cluster.NodeCIDR, err)
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return nil, fmt.Errorf("set link %s up: %w", cluster.NodeBridge, err)
	}
	return bridge, nil
}

// addRoutes lets the node's own processes reach Service addresses, and makes everything else fail at once. The default
// route is marked unreachable, because some clients would wait if there were none.
func addRoutes(bridge netlink.Link) error {
	_, services, err := net.ParseCIDR(cluster.ServiceCIDR)
	if err != nil {
		return fmt.Errorf("parse service range: %w", err)
	}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: bridge.Attrs().Index, Dst: services}); err != nil {
		return fmt.Errorf("add route to services: %w", err)
	}
	all := &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
	if err := netlink.RouteAdd(&netlink.Route{Dst: all, Type: unix.RTN_UNREACHABLE}); err != nil {
		return fmt.Errorf("add unreachable default route: %w", err)
	}
	return nil
}
