// Package dnscheck is the check that resolves host names, in the cluster or outside it. It never sends a report: its caller does.
package dnscheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/khronicle/khronicle/cmd/khcheck/settings"
)

// Config says which names to resolve. FromEnv documents the variables and defaults.
type Config struct {
	// Hosts are the names. Each must have at least one address.
	Hosts []string
	// WantAddresses must all be among the addresses of each name.
	WantAddresses []netip.Addr
	// Nameserver is the host:port of the DNS server. Empty means the servers of the pod.
	Nameserver string
}

// FromEnv reads the configuration. HOSTNAME is a variable of Kuberhealthy's dns-resolution-check too; here it may list several names:
//
//	HOSTNAME            names to resolve, separated by commas; required
//	EXPECTED_ADDRESSES  IP addresses that each name must have, separated by commas
//	NAMESERVER          the DNS server, host or host:port (the servers of the pod)
//
// The pod's search domains apply to names that do not end in a dot.
func FromEnv(env *settings.Env) Config {
	return Config{Hosts: hosts(env), WantAddresses: wantAddresses(env), Nameserver: nameserver(env)}
}

// hosts returns the names. It rejects the pod's own name: container runtimes set HOSTNAME to it if the manifest does not set HOSTNAME.
func hosts(env *settings.Env) []string {
	const name = "HOSTNAME"
	hosts := env.List(name)
	own, err := os.Hostname()
	if len(hosts) == 0 || (err == nil && slices.Equal(hosts, []string{own})) {
		env.Reject(name, "one or several names such as kubernetes.default.svc.cluster.local,example.com")
	}
	return hosts
}

func wantAddresses(env *settings.Env) []netip.Addr {
	const name = "EXPECTED_ADDRESSES"
	var addresses []netip.Addr
	for _, text := range env.List(name) {
		address, err := netip.ParseAddr(text)
		if err != nil {
			env.Reject(name, "IP addresses such as 10.96.0.1 or 10.96.0.1,fd00::1")
			return nil
		}
		addresses = append(addresses, address.Unmap())
	}
	return addresses
}

func nameserver(env *settings.Env) string {
	const name = "NAMESERVER"
	server := env.String(name, "")
	if server == "" {
		return ""
	}
	if _, err := netip.ParseAddr(server); err == nil || !strings.Contains(server, ":") {
		server = net.JoinHostPort(server, "53")
	}
	if host, port, err := net.SplitHostPort(server); err != nil || host == "" || port == "" {
		env.Reject(name, "a DNS server such as 10.96.0.10 or 10.96.0.10:53")
	}
	return server
}

// Run resolves all names at once until ctx ends and returns what is wrong, in the order of the names.
func (c Config) Run(ctx context.Context) []string {
	resolver := c.resolver()
	faults := make([][]string, len(c.Hosts))
	var pending sync.WaitGroup
	for i, host := range c.Hosts {
		pending.Go(func() { faults[i] = c.look(ctx, resolver, host) })
	}
	pending.Wait()
	return slices.Concat(faults...)
}

// resolver returns Go's own resolver. It needs no C library and stops when its context ends.
func (c Config) resolver() *net.Resolver {
	resolver := &net.Resolver{PreferGo: true}
	if c.Nameserver != "" {
		resolver.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, c.Nameserver)
		}
	}
	return resolver
}

// look resolves one name and returns what is wrong with it.
func (c Config) look(ctx context.Context, resolver *net.Resolver, host string) []string {
	addresses, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return []string{c.describe(host, err)}
	}
	for i, address := range addresses {
		addresses[i] = address.Unmap()
	}
	var faults []string
	for _, want := range c.WantAddresses {
		if !slices.Contains(addresses, want) {
			faults = append(faults, fmt.Sprintf("resolve %s: want address %v, got %v", host, want, addresses))
		}
	}
	return faults
}

// describe returns the error of a lookup with the right server. The resolver's error names the pod's server, even if another
// server was used.
func (c Config) describe(host string, err error) string {
	lookup, ok := errors.AsType[*net.DNSError](err)
	if !ok {
		return fmt.Sprintf("resolve %s: %v", host, err)
	}
	server := cmp.Or(c.Nameserver, lookup.Server)
	if server == "" {
		return fmt.Sprintf("resolve %s: %s", host, lookup.Err)
	}
	return fmt.Sprintf("resolve %s at %s: %s", host, server, lookup.Err)
}
