package dnscheck_test

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/cmd/khcheck/dnscheck"
	"github.com/khronicle/khronicle/cmd/khcheck/settings"
	"github.com/khronicle/khronicle/internal/needs"
)

// config reads a configuration that must be right.
func config(t *testing.T, variables map[string]string) dnscheck.Config {
	t.Helper()
	env := settings.New(func(name string) string { return variables[name] })
	c := dnscheck.FromEnv(env)
	if problems := env.Problems(); problems != nil {
		t.Fatalf("configuration: %q", problems)
	}
	return c
}

func TestRunReportsNamesThatDoNotResolveAsExpected(t *testing.T) {
	server := serve(t, map[string][]string{
		"shop.test.": {"10.0.0.1", "10.0.0.2", "fd00::1"},
		"bank.test.": {"10.0.0.3"},
	})
	tests := []struct {
		name, hosts, addresses string
		want                   []string
	}{
		{"name resolves", "shop.test.", "", nil},
		{"all names resolve", "shop.test., bank.test.", "", nil},
		{
			"names that do not exist", "nobody.test., shop.test., noone.test.", "",
			[]string{
				"resolve nobody.test. at " + server + ": no such host",
				"resolve noone.test. at " + server + ": no such host",
			},
		},
		{"expected addresses of both families", "shop.test.", "10.0.0.2,fd00::1", nil},
		{
			"another address", "bank.test.", "10.0.0.3,10.0.0.4",
			[]string{"resolve bank.test.: want address 10.0.0.4, got [10.0.0.3]"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := config(t, map[string]string{
				"HOSTNAME": test.hosts, "EXPECTED_ADDRESSES": test.addresses, "NAMESERVER": server,
			})
			if diff := cmp.Diff(test.want, c.Run(t.Context())); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunWithTheHostsOwnResolver(t *testing.T) {
	c := config(t, map[string]string{"HOSTNAME": "localhost"})
	if got := c.Run(t.Context()); got != nil {
		t.Errorf("got faults %q, want none", got)
	}
}

func TestRunEndsWithItsTime(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	c := config(t, map[string]string{"HOSTNAME": "shop.test.", "NAMESERVER": silent.LocalAddr().String()})
	got := c.Run(ctx)

	if len(got) != 1 || !strings.HasPrefix(got[0], "resolve shop.test. at "+silent.LocalAddr().String()+": ") {
		t.Errorf("got faults %q, want one that names the host and the server", got)
	}
}

func TestNameserverPortDefaultsTo53(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", ""},
		{"10.96.0.10", "10.96.0.10:53"},
		{"10.96.0.10:5353", "10.96.0.10:5353"},
		{"fd00::a", "[fd00::a]:53"},
		{"[fd00::a]:5353", "[fd00::a]:5353"},
		{"kube-dns.kube-system", "kube-dns.kube-system:53"},
	}
	for _, test := range tests {
		c := config(t, map[string]string{"HOSTNAME": "localhost", "NAMESERVER": test.text})
		if c.Nameserver != test.want {
			t.Errorf("NAMESERVER=%q: got %q, want %q", test.text, c.Nameserver, test.want)
		}
	}
}

func TestFromEnvSaysWhatIsWrong(t *testing.T) {
	own, err := os.Hostname()
	if err != nil {
		needs.Missing(t, "the host has no name: %v", err)
	}
	const hosts = `want one or several names such as kubernetes.default.svc.cluster.local,example.com`
	tests := []struct {
		name string
		env  map[string]string
		want []string
	}{
		{"no name", nil, []string{`HOSTNAME="": ` + hosts}},
		{"the pod's own name, as runtimes set it", map[string]string{"HOSTNAME": own}, []string{`HOSTNAME="` + own + `": ` + hosts}},
		{
			"addresses and server",
			map[string]string{
				"HOSTNAME": "shop", "EXPECTED_ADDRESSES": "10.0.0.1,shop", "NAMESERVER": "10.0.0.1:53:53",
			},
			[]string{
				`EXPECTED_ADDRESSES="10.0.0.1,shop": want IP addresses such as 10.96.0.1 or 10.96.0.1,fd00::1`,
				`NAMESERVER="10.0.0.1:53:53": want a DNS server such as 10.96.0.10 or 10.96.0.10:53`,
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			env := settings.New(func(name string) string { return test.env[name] })
			dnscheck.FromEnv(env)
			if diff := cmp.Diff(test.want, env.Problems()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
