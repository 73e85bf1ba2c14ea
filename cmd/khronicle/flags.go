package main

import (
	"github.com/spf13/pflag"

	settings "github.com/khronicle/khronicle/internal/config"
	"github.com/khronicle/khronicle/starter"
)

// Flags of the roles that others name too.
const (
	flagTargetNamespaces = "target-namespaces"
	envTargetNamespaces  = "TARGET_NAMESPACE"
	flagOperations       = "operations-listen"
	flagPprof            = "pprof-address"
	flagStartBurst       = "start-burst"
	flagTemporalUI       = "temporal-ui-url"
	flagTemporalAddress  = "temporal-address"
)

// has is true if the command has a flag.
func (c *config) has(name string) bool { return c.flags != nil && c.flags.Lookup(name) != nil }

// isSet is true if a flag is on the command line.
func (c *config) isSet(name string) bool {
	return c.flags != nil && c.flags.Changed(name)
}

// source names where a value comes from: the flag if it is on the command line, else the variable that replaces its default.
func (c *config) source(flag, variable string) string {
	if c.isSet(flag) {
		return "--" + flag
	}
	return variable
}

// addClusterFlags adds the flags of a role that say what it reads and how it logs.
func (c *config) addClusterFlags(f *pflag.FlagSet) {
	c.addKubeconfigFlags(f)
	f.StringSliceVar(&c.targetNamespaces, flagTargetNamespaces, c.targetNamespaces, "namespaces whose checks are run; empty means all ["+envTargetNamespaces+"]")
	f.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	f.BoolVarP(&c.debug, "debug", "d", false, "log everything, whatever --log-level says")
	f.BoolVar(&c.logJSON, "log-json", false, "log JSON lines")
}

// addKubeconfigFlags adds the flags that say which cluster it is.
func (c *config) addKubeconfigFlags(f *pflag.FlagSet) {
	c.flags = f
	f.StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, then ~/.kube/config, then in-cluster)")
	f.StringVar(&c.context, "context", "", "context of the kubeconfig (default: its current context)")
}

// addNameFlags adds the flags of every role.
func (c *config) addNameFlags(f *pflag.FlagSet) {
	c.addClusterFlags(f)
	f.StringVarP(&c.file, "config", "c", settings.DefaultPath, "configuration file; the default file may be missing")
	f.BoolVar(&c.forceMaster, "forceMaster", false, "has no effect: there is no master")
	_ = f.MarkHidden("forceMaster") // the flag was added in the line above
	f.StringVar(&c.podName, "pod-name", c.podName, "name of this process [POD_NAME]")
	f.StringVar(&c.pprof, flagPprof, "", "address of Go profiles under /debug/pprof/, such as 127.0.0.1:6060; a loopback address; empty means none")
}

// addReportFlags adds the flags of the report API.
func (c *config) addReportFlags(f *pflag.FlagSet) {
	f.StringVar(&c.listen, "listen", ":8080", "address of reports, status page, metrics and health")
	f.BoolVar(&c.sourceIP, "accept-reports-by-source-ip", false, "accept reports without a run UUID, and find the run by the pod's address; less safe, for clients of Kuberhealthy before v2.5")
	f.BoolVar(&c.showEvidence, "show-evidence", false, "show the evidence of failed runs, such as logs, on the pages and in the REST API, to whoever reaches the address")
	f.StringVar(&c.temporalUI, flagTemporalUI, "", "address of Temporal's web UI, such as https://temporal.example.com; pages of ended runs link to it")
	f.BoolVar(&c.unknownIsHealthy, "unknown-is-healthy", false, "show the last outcome of a check whose next outcome is overdue, as Kuberhealthy does")
}

// addStartFlags adds the flags of the starter.
func (c *config) addStartFlags(f *pflag.FlagSet) {
	f.IntVar(&c.startBurst, flagStartBurst, starter.DefaultBurst, "how many checks, at least 1, may start at the same moment; further checks are spread over their intervals")
}

// addOperationsFlags adds the flags of a process without the report API.
func (c *config) addOperationsFlags(f *pflag.FlagSet) {
	f.StringVar(&c.operations, flagOperations, ":8081", "address of /healthz, /readyz and /metrics")
}
