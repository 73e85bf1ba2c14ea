package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/khronicle/khronicle/internal/apitest"
)

// isolate hides the environment and the home of the developer. Nothing answers at the address of Temporal.
func isolate(t *testing.T) {
	t.Helper()
	home := t.TempDir()
	settings := filepath.Join(home, "temporal.toml")
	if err := os.WriteFile(settings, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"POD_NAME", "POD_NAMESPACE", "TARGET_NAMESPACE", "KH_EXTERNAL_REPORTING_URL", "CHECK_REAPER_RUN_INTERVAL", "KHRONICLE_DEADMAN_URL", "KUBERNETES_SERVICE_HOST", "KHRONICLE_LEDGER"} {
		t.Setenv(name, "")
	}
	t.Setenv("KUBECONFIG", filepath.Join(home, "missing"))
	t.Setenv("TEMPORAL_CONFIG_FILE", settings)
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
}

// execute runs a command line and returns what it writes.
func execute(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// command finds a command and reads its flags.
func command(t *testing.T, args ...string) *cobra.Command {
	t.Helper()
	found, rest, err := rootCommand().Find(args)
	if err != nil {
		t.Fatal(err)
	}
	if err := found.ParseFlags(rest); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestFlagWithADurationInDaysGetsAHint(t *testing.T) {
	isolate(t)
	_, err := execute(t, "worker", "--max-job-age", "30d")
	if err == nil || !strings.HasSuffix(err.Error(), `; write "720h"`) {
		t.Errorf("error %v, want a hint", err)
	}
}

func TestReapIntervalInDaysGetsAHint(t *testing.T) {
	if _, fault := parseReapInterval("1d"); !strings.HasSuffix(fault, `; write "24h"`) {
		t.Errorf("fault %q, want a hint", fault)
	}
}

func TestFlagsGoBeforeTheEnvironment(t *testing.T) {
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		env  map[string]string
		args []string
		flag string
		want string
	}{
		{"name", nil, nil, "pod-name", hostname},
		{"name by the environment", map[string]string{"POD_NAME": "worker-1"}, nil, "pod-name", "worker-1"},
		{"name by the flag", map[string]string{"POD_NAME": "worker-1"}, []string{"--pod-name", "mine"}, "pod-name", "mine"},
		{"namespace", nil, nil, "namespace", "kuberhealthy"},
		{"namespace by the environment", map[string]string{"POD_NAMESPACE": "health"}, nil, "namespace", "health"},
		{"namespace by the flag", map[string]string{"POD_NAMESPACE": "health"}, []string{"--namespace", "mine"}, "namespace", "mine"},
		{"target namespaces", nil, nil, "target-namespaces", "[]"},
		{"target namespace by the environment", map[string]string{"TARGET_NAMESPACE": "shop"}, nil, "target-namespaces", "[shop]"},
		{"target namespaces by the flag", map[string]string{"TARGET_NAMESPACE": "shop"}, []string{"--target-namespaces", "a,b"}, "target-namespaces", "[a,b]"},
		{"target namespaces by the environment", map[string]string{"TARGET_NAMESPACE": "shop, till,,bank "}, nil, "target-namespaces", "[shop,till,bank]"},
		{"reap interval", nil, nil, "reap-interval", "30s"},
		{"reap interval by the environment", map[string]string{"CHECK_REAPER_RUN_INTERVAL": "5m"}, nil, "reap-interval", "5m0s"},
		{"reap interval by the flag", map[string]string{"CHECK_REAPER_RUN_INTERVAL": "5m"}, []string{"--reap-interval", "1m"}, "reap-interval", "1m0s"},
		{"reap interval 0 in the environment", map[string]string{"CHECK_REAPER_RUN_INTERVAL": "0"}, nil, "reap-interval", "30s"},
		{"reap interval below 0 in the environment", map[string]string{"CHECK_REAPER_RUN_INTERVAL": "-1s"}, nil, "reap-interval", "30s"},
		{"reap interval in words in the environment", map[string]string{"CHECK_REAPER_RUN_INTERVAL": "often"}, nil, "reap-interval", "30s"},
		{"file, where Kuberhealthy has it", nil, nil, "config", "/etc/config/kuberhealthy.yaml"},
		{"file by Kuberhealthy's short flag", nil, []string{"-c", "a.yaml"}, "config", "a.yaml"},
		{"debug by Kuberhealthy's short flag", nil, []string{"-d"}, "debug", "true"},
		{"reporting URL", nil, nil, "reporting-url", ""},
		{"reporting URL by the environment", map[string]string{"KH_EXTERNAL_REPORTING_URL": "http://a/"}, nil, "reporting-url", "http://a/"},
		{"reporting URL by the flag", map[string]string{"KH_EXTERNAL_REPORTING_URL": "http://a/"}, []string{"--reporting-url=http://b/"}, "reporting-url", "http://b/"},
		{"dead man's switch", nil, nil, "deadman-url", ""},
		{"dead man's switch by the environment", map[string]string{"KHRONICLE_DEADMAN_URL": "http://a/"}, nil, "deadman-url", "http://a/"},
		{"dead man's switch by the flag", map[string]string{"KHRONICLE_DEADMAN_URL": "http://a/"}, []string{"--deadman-url=http://b/"}, "deadman-url", "http://b/"},
		{"no dead man's switch by the flag", map[string]string{"KHRONICLE_DEADMAN_URL": "http://a/"}, []string{"--deadman-url="}, "deadman-url", ""},
		{"log level", nil, nil, "log-level", "info"},
		{"completed pods, as in Kuberhealthy's chart", nil, nil, "max-completed-pods", "4"},
		{"error pods, as in Kuberhealthy's chart", nil, nil, "max-error-pods", "4"},
		{"pod age, as in Kuberhealthy's chart", nil, nil, "max-check-pod-age", "72h0m0s"},
		{"job age, as in Kuberhealthy's chart", nil, nil, "max-job-age", "15m0s"},
		{"ledger by the environment", map[string]string{"KHRONICLE_LEDGER": "sqlite:a"}, nil, "ledger", "sqlite:a"},
		{"passes are kept for 90 days", nil, nil, "ledger-max-pass-age", "2160h0m0s"},
		{"failures are kept for 400 days", nil, nil, "ledger-max-failure-age", "9600h0m0s"},
		{"evidence is kept for 30 days", nil, nil, "ledger-max-evidence-age", "720h0m0s"},
		{"2 GiB of it are kept", nil, nil, "ledger-max-evidence-bytes", "2Gi"},
		{"evidence in bytes", nil, []string{"--ledger-max-evidence-bytes", "1000000"}, "ledger-max-evidence-bytes", "1000000"},
		{"evidence as a quantity", nil, []string{"--ledger-max-evidence-bytes=1536Mi"}, "ledger-max-evidence-bytes", "1536Mi"},
		{"20 million records are kept", nil, nil, "ledger-max-records", "20000000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			isolate(t)
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			worker := command(t, append([]string{"worker"}, tt.args...)...)
			if got := worker.Flags().Lookup(tt.flag).Value.String(); got != tt.want {
				t.Errorf("--%s is %q, want %q", tt.flag, got, tt.want)
			}
		})
	}
}

// The URL of the dead man's switch is a secret: whoever has it can send heartbeats in place of a system that is down.
func TestTheURLOfTheDeadMansSwitchIsNotShown(t *testing.T) {
	isolate(t)
	const secret = "5c0d6f7e-ping-key"
	t.Setenv("KHRONICLE_DEADMAN_URL", "https:/"+secret) // not an address
	for _, role := range []string{"worker", "dev"} {
		if help, err := execute(t, role, "--help"); err != nil || strings.Contains(help, secret) || !strings.Contains(help, "--deadman-url") {
			t.Errorf("%s --help: error %v\n%s", role, err, help)
		}
	}
	_, err := execute(t, "worker")
	if err == nil || !strings.HasPrefix(err.Error(), "KHRONICLE_DEADMAN_URL: ") || strings.Contains(err.Error(), secret) {
		t.Errorf("error %v, want one of the variable that does not show it", err)
	}
}

// The name of the ledger may hold a password.
func TestTheNameOfTheLedgerIsNotShown(t *testing.T) {
	isolate(t)
	const secret = "5c0d6f7e-password"
	t.Setenv("KHRONICLE_LEDGER", "postgres://khronicle:"+secret+"@host:port/db") // not an address
	for _, command := range []string{"worker", "standalone", "dev", "history", "evidence", "ledger backup"} {
		if help, err := execute(t, append(strings.Fields(command), "--help")...); err != nil || strings.Contains(help, secret) || !strings.Contains(help, "--ledger ") {
			t.Errorf("%s --help: error %v\n%s", command, err, help)
		}
	}
	if _, err := execute(t, "history", "shop/cart"); err == nil || !strings.HasPrefix(err.Error(), "KHRONICLE_LEDGER: ") || strings.Contains(err.Error(), secret) {
		t.Errorf("error %v, want one that does not show the name", err)
	}
}

// The commands and their flags are what manifests and scripts rely on.
func TestCommandsAndTheirFlags(t *testing.T) {
	cluster := []string{"context", "debug", "kubeconfig", "log-json", "log-level", "target-namespaces"}
	roles := slices.Concat(cluster, []string{"config", "pod-name", "pprof-address"})
	runs := []string{
		"deadman-url", "ledger", "ledger-max-records", "ledger-max-evidence-age", "ledger-max-evidence-bytes", "ledger-max-failure-age", "ledger-max-pass-age", "max-check-pod-age", "max-completed-pods", "max-error-pods", "max-job-age", "max-pod-starts-per-second", "max-running-pods", "namespace", "reap-interval", "reporting-url",
	}
	kubectl := []string{
		"as", "as-group", "as-uid", "certificate-authority", "client-certificate", "client-key", "cluster", "context", "disable-compression",
		"insecure-skip-tls-verify", "kubeconfig", "namespace", "proxy-url", "request-timeout", "tls-server-name", "token", "user",
	}
	reads := slices.Concat(kubectl, []string{"server", "service-namespace"})
	records := slices.Concat(reads, []string{"ledger"})
	tests := map[string][]string{
		"get":       slices.Concat(records, []string{"all-namespaces", "limit", "output", "selector", "state", "watch"}),
		"describe":  reads,
		"history":   slices.Concat(records, []string{"limit", "outcome", "output", "since", "until"}),
		"evidence":  slices.Concat(records, []string{"at", "output", "run"}),
		"logs":      slices.Concat(records, []string{"container", "follow", "raw", "run", "tail"}),
		"open":      slices.Concat(reads, []string{"port", "print", "run"}),
		"version":   {},
		"doctor":    slices.Concat(reads, []string{"output", "pod", "pod-image", "reporting-url", "target-namespaces", "temporal-address", "temporal-namespace"}),
		"manifests": {"service-namespace"},
		"run":       slices.Concat(reads, []string{"id", "timeout", "wait"}),
		"pause":     slices.Concat(kubectl, []string{"by", "reason"}),
		"resume":    kubectl,
		"wait":      slices.Concat(reads, []string{"for", "timeout"}),
		"worker":    slices.Concat(roles, runs, []string{"operations-listen"}),
		"starter":   slices.Concat(roles, []string{"operations-listen", "start-burst"}),
		"reportapi": slices.Concat(roles, []string{"accept-reports-by-source-ip", "ledger", "listen", "show-evidence", "temporal-ui-url", "unknown-is-healthy"}),
		"dev": slices.Concat(roles, runs, []string{
			"accept-reports-by-source-ip", "listen", "show-evidence", "start-burst", "state-dir", "temporal", "temporal-port", "temporal-ui-port", "temporal-ui-url",
			"unknown-is-healthy",
		}),
		"standalone": slices.Concat(roles, runs, []string{
			"accept-reports-by-source-ip", "listen", "show-evidence", "start-burst", "temporal-address", "temporal-ui-url", "unknown-is-healthy",
		}),
		"ledger": {},
		"lint":   {"context", "kubeconfig", "output", "reporting-url", "server", "strict"},
	}
	names := []string{}
	for _, c := range rootCommand().Commands() {
		names = append(names, c.Name())
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(tests)), names); diff != "" {
		t.Errorf("commands differ (-want +got):\n%s", diff)
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			got := []string{}
			command(t, name).LocalFlags().VisitAll(func(f *pflag.Flag) {
				if !f.Hidden {
					got = append(got, f.Name)
				}
			})
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("flags differ (-want +got):\n%s", diff)
			}
			help, err := execute(t, name, "--help")
			if err != nil {
				t.Fatal(err)
			}
			for _, flag := range want {
				if !strings.Contains(help, "--"+flag+" ") {
					t.Errorf("the help does not name --%s:\n%s", flag, help)
				}
			}
		})
	}
}

func TestHelpNamesTheCommands(t *testing.T) {
	help, err := execute(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"worker", "starter", "reportapi", "standalone", "dev", "history", "ledger"} {
		if !strings.Contains(help, "\n  "+name+" ") {
			t.Errorf("the help does not name %s:\n%s", name, help)
		}
	}
}

func TestWrongCommandLinesAreRefused(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(kubeconfig, []byte(emptyKubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	const cluster = "find the cluster (set --kubeconfig or KUBECONFIG): "
	tests := []struct {
		name string
		args []string // of each command
		want string
	}{
		{"log level", []string{"--log-level", "loud"}, `--log-level: "loud" is not trace, debug, info, warn, error, fatal or panic`},
		{"no kubeconfig", nil, cluster + "invalid configuration: no configuration has been provided"},
		{"kubeconfig that is missing", []string{"--kubeconfig", "/nowhere/config"}, cluster + "stat /nowhere/config: no such file or directory"},
		{"unknown context", []string{"--kubeconfig", kubeconfig, "--context", "moon"}, cluster + `context "moon" does not exist`},
		{"unknown flag", []string{"--moon"}, "unknown flag: --moon"},
		{"argument", []string{"moon"}, `unknown command "moon" for "khronicle `},
	}
	for _, tt := range tests {
		for _, name := range []string{"worker", "starter", "reportapi", "dev"} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				isolate(t)
				args := append([]string{name}, tt.args...)
				if name == "dev" {
					args = append(args, "--temporal", idleServer(t), "--state-dir", t.TempDir())
				}
				if _, err := execute(t, args...); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %s", err, tt.want)
				}
			})
		}
	}
}

// Each value is refused before anything is connected to, and the error names where the value comes from.
func TestWrongValuesAreRefusedWhereverTheyComeFrom(t *testing.T) {
	const url = `: not a URL such as "http://kuberhealthy.kuberhealthy.svc.cluster.local/externalCheckStatus"`
	tests := []struct {
		want string
		env  map[string]string
		args []string
	}{
		{"--reporting-url" + url, nil, []string{"--reporting-url", "kuberhealthy.kuberhealthy.svc:80/externalCheckStatus"}},
		{"--reporting-url" + url, nil, []string{"--reporting-url", "http//kuberhealthy.kuberhealthy/externalCheckStatus"}},
		{"--reporting-url" + url, map[string]string{"KH_EXTERNAL_REPORTING_URL": "http://a/check"}, []string{"--reporting-url", "kuberhealthy"}},
		{"KH_EXTERNAL_REPORTING_URL" + url, map[string]string{"KH_EXTERNAL_REPORTING_URL": "kuberhealthy"}, nil},
		{"KH_EXTERNAL_REPORTING_URL" + url, map[string]string{"KH_EXTERNAL_REPORTING_URL": "http://kuberhealthy/check\n"}, nil},
		{`POD_NAMESPACE: "Health_1" is not the name of a namespace, such as kuberhealthy`, map[string]string{"POD_NAMESPACE": "Health_1"}, nil},
		{`--namespace: "a.b" is not the name of a namespace, such as kuberhealthy`, nil, []string{"--namespace", "a.b"}},
		{`TARGET_NAMESPACE: "Shop" is not the name of a namespace, such as kuberhealthy`, map[string]string{"TARGET_NAMESPACE": "till Shop"}, nil},
		{`--target-namespaces: "sh*p" is not the name of a namespace, such as kuberhealthy`, nil, []string{"--target-namespaces", "sh*p"}},
		{"KHRONICLE_DEADMAN_URL: want a URL such as https://hc-ping.com/UUID (the value is a secret and not shown)", map[string]string{"KHRONICLE_DEADMAN_URL": "hc-ping.com"}, nil},
		{"--deadman-url: want a URL such as https://hc-ping.com/UUID (the value is a secret and not shown)", nil, []string{"--deadman-url", "hc-ping.com"}},
		{"KHRONICLE_LEDGER: ", map[string]string{"KHRONICLE_LEDGER": "mysql://a"}, nil},
		{"--ledger: ", nil, []string{"--ledger", "mysql://a"}},
		{`--operations-listen: "8081" is not an address such as ":8081"`, nil, []string{"--operations-listen", "8081"}},
		{`--pprof-address: ":6060" is not an address of this machine alone, such as "127.0.0.1:6060"`, nil, []string{"--pprof-address", ":6060"}},
		{"--max-completed-pods: -1 is less than 0, which already means no pods", nil, []string{"--max-completed-pods", "-1"}},
		{"--max-job-age: -1h0m0s is less than 0", nil, []string{"--max-job-age", "-1h"}},
		{"--max-pod-starts-per-second: NaN is not at least 0", nil, []string{"--max-pod-starts-per-second", "NaN"}},
		{"--max-running-pods: -1 is less than 0", nil, []string{"--max-running-pods", "-1"}},
		{"--reap-interval: 0s is not more than 0", nil, []string{"--reap-interval", "0"}},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			isolate(t)
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			if _, err := execute(t, append([]string{"worker"}, tt.args...)...); !strings.HasPrefix(errorText(err), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

// The address goes into links, so it is one that a browser follows.
func TestAddressOfTheTemporalUIIsOneOfTheWeb(t *testing.T) {
	for _, address := range []string{"temporal:8080", "javascript:alert(1)", "https://", "https://user:password@temporal", "https://temporal/?a=b"} {
		isolate(t)
		if _, err := execute(t, "reportapi", "--temporal-ui-url", address); !strings.HasPrefix(errorText(err), "--temporal-ui-url: ") {
			t.Errorf("%s: error %v, want one of the flag", address, err)
		}
	}
}

// A burst of 0 cannot be had: the first check to start is one already.
func TestStartBurstIsAtLeastOne(t *testing.T) {
	tests := []struct{ burst, want string }{
		{"0", "--start-burst: 0 is not at least 1"},
		{"-3", "--start-burst: -3 is not at least 1"},
		{"1", "find the cluster (set --kubeconfig or KUBECONFIG): "}, // the next thing that is looked at
	}
	for _, tt := range tests {
		for _, name := range []string{"starter", "dev"} {
			t.Run(tt.burst+"/"+name, func(t *testing.T) {
				isolate(t)
				args := []string{name, "--start-burst", tt.burst}
				if name == "dev" {
					args = append(args, "--temporal", idleServer(t), "--state-dir", t.TempDir())
				}
				if _, err := execute(t, args...); !strings.HasPrefix(errorText(err), tt.want) {
					t.Errorf("error %v, want %s", err, tt.want)
				}
			})
		}
	}
}

func TestWhatTheLedgerKeepsIsChecked(t *testing.T) {
	tests := map[string][]string{
		"--ledger-max-pass-age: 0s is not more than 0":                                                                          {"--ledger-max-pass-age", "0"},
		"--ledger-max-failure-age: -1h0m0s is not more than 0":                                                                  {"--ledger-max-failure-age", "-1h"},
		"--ledger-max-evidence-age: 0s is not more than 0":                                                                      {"--ledger-max-evidence-age", "0"},
		"--ledger-max-evidence-bytes: 0 is not more than 0":                                                                     {"--ledger-max-evidence-bytes", "0"},
		"--ledger-max-evidence-bytes: -1 is not more than 0":                                                                    {"--ledger-max-evidence-bytes", "-1"},
		`invalid argument "2GB" for "--ledger-max-evidence-bytes" flag: want a size in bytes, such as 2147483648, 2Gi or 500M`:  {"--ledger-max-evidence-bytes", "2GB"},
		`invalid argument "500m" for "--ledger-max-evidence-bytes" flag: want a size in bytes, such as 2147483648, 2Gi or 500M`: {"--ledger-max-evidence-bytes", "500m"},
		`invalid argument "20E" for "--ledger-max-evidence-bytes" flag: want a size in bytes, such as 2147483648, 2Gi or 500M`:  {"--ledger-max-evidence-bytes", "20E"},
		"--ledger-max-records: 0 is not more than 0":                                                                            {"--ledger-max-records", "0"},
		"--ledger-max-failure-age: 24h0m0s is less than --ledger-max-pass-age, 48h0m0s":                                         {"--ledger-max-failure-age", "24h", "--ledger-max-pass-age", "48h"},
		"find the cluster (set --kubeconfig or KUBECONFIG): ":                                                                   {"--ledger-max-failure-age", "24h", "--ledger-max-pass-age", "24h"}, // the next thing that is looked at
	}
	for want, args := range tests {
		t.Run(want, func(t *testing.T) {
			isolate(t)
			if _, err := execute(t, append([]string{"worker"}, args...)...); !strings.HasPrefix(errorText(err), want) {
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
}

const emptyKubeconfig = "apiVersion: v1\nkind: Config\n"

// idleServer returns a program in the place of Temporal's CLI. It runs and answers nothing.
func idleServer(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "temporal")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec sleep 600\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWrongTemporalSettingsAreRefused(t *testing.T) {
	isolate(t)
	t.Setenv("TEMPORAL_PROFILE", "moon")
	t.Setenv("KUBECONFIG", apitest.Kubeconfig(t, "http://127.0.0.1:1"))
	if _, err := execute(t, "worker"); err == nil || !strings.HasPrefix(err.Error(), "read the TEMPORAL_* settings: ") {
		t.Errorf("error %v", err)
	}
}

func TestFindTemporal(t *testing.T) {
	t.Run("on PATH", func(t *testing.T) {
		path := idleServer(t)
		t.Setenv("PATH", filepath.Dir(path))
		if got, err := findTemporal(); err != nil || got != path {
			t.Errorf("found %q, error %v, want %s", got, err, path)
		}
	})
	t.Run("nowhere", func(t *testing.T) {
		isolate(t)
		t.Setenv("PATH", t.TempDir())
		_, err := execute(t, "dev")
		if err == nil || !strings.Contains(err.Error(), "build it with `make temporal`, or name it with --temporal") {
			t.Errorf("error %v, want one that says what to do", err)
		}
	})
}
