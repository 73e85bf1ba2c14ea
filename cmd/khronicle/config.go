package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/khronicle/khronicle/check"
	settings "github.com/khronicle/khronicle/internal/config"
	"github.com/khronicle/khronicle/ledger"
)

// config is what the flags and the environment say. Temporal's own settings are the TEMPORAL_* variables. What the
// configuration file has a say in is asked of process.live.
type config struct {
	flags               *pflag.FlagSet
	file                string
	kubeconfig, context string
	podName, namespace  string
	targetNamespaces    []string
	listen, operations  string
	sourceIP            bool
	unknownIsHealthy    bool
	startBurst          int
	ledger              string
	heartbeatURL        string
	reportingURL        string
	logLevel            string
	debug, logJSON      bool
	forceMaster         bool
	// devServer is the address of the Temporal server that this process started itself, if it did.
	devServer    string
	reapInterval time.Duration
	// reapFault says what is wrong with the interval of the environment.
	reapFault string
	retention check.Retention
	// podStarts is how many checker pods may start a second, and runningPods how many may run at once. 0 is without limit.
	podStarts   float64
	runningPods int
	// records are the limits of the ledger.
	records ledger.Retention
}

func defaultConfig() *config {
	hostname, _ := os.Hostname() // a name is nice to have, no more
	c := &config{
		podName:      cmp.Or(os.Getenv("POD_NAME"), hostname, "khronicle"),
		namespace:    cmp.Or(os.Getenv("POD_NAMESPACE"), "kuberhealthy"),
		reportingURL: os.Getenv("KH_EXTERNAL_REPORTING_URL"),
		retention:    check.DefaultRetention(),
		records:      ledger.DefaultRetention(),
		ledger:       os.Getenv("KHRONICLE_LEDGER"),
		heartbeatURL: os.Getenv("KHRONICLE_HEARTBEAT_URL"),
	}
	c.targetNamespaces = split(os.Getenv("TARGET_NAMESPACE"))
	c.reapInterval, c.reapFault = parseReapInterval(os.Getenv(envReapInterval))
	return c
}

// split returns the words of a list that are separated by commas.
func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}

// The flags of the limiter, and their defaults: a cluster of some hundred nodes starts as many pods without being busy.
const (
	flagPodStarts      = "max-pod-starts-per-second"
	flagRunningPods    = "max-running-pods"
	defaultPodStarts   = 50
	defaultRunningPods = 1000
)

const (
	envReapInterval     = "CHECK_REAPER_RUN_INTERVAL"
	defaultReapInterval = 30 * time.Second
)

// parseReapInterval reads the variable as Kuberhealthy does, for which 0 is the default.
func parseReapInterval(text string) (interval time.Duration, fault string) {
	if text == "" {
		return defaultReapInterval, ""
	}
	interval, err := time.ParseDuration(text)
	if err != nil || interval <= 0 {
		return defaultReapInterval, fmt.Sprintf("%q is not a duration of more than 0 such as %q", text, "30s")
	}
	return interval, ""
}

// given is true for a flag that is on the command line.
func (c *config) given(name string) bool {
	return c.flags != nil && c.flags.Changed(name)
}

// addClusterFlags adds what every command needs.
func (c *config) addClusterFlags(f *pflag.FlagSet) {
	c.flags = f
	f.StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, then ~/.kube/config, then in-cluster)")
	f.StringVar(&c.context, "context", "", "context of the kubeconfig (default: its current context)")
	f.StringSliceVar(&c.targetNamespaces, "target-namespaces", c.targetNamespaces, "namespaces whose checks are run, none for all [TARGET_NAMESPACE]")
	f.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	f.BoolVarP(&c.debug, "debug", "d", false, "log everything, whatever --log-level says")
	f.BoolVar(&c.logJSON, "log-json", false, "log JSON lines")
}

// addNameFlags adds what every role needs.
func (c *config) addNameFlags(f *pflag.FlagSet) {
	c.addClusterFlags(f)
	f.StringVarP(&c.file, "config", "c", settings.DefaultPath, "configuration file; the default need not exist")
	f.BoolVar(&c.forceMaster, "forceMaster", false, "has no effect: there is no master")
	_ = f.MarkHidden("forceMaster") // it was added in the line above
	f.StringVar(&c.podName, "pod-name", c.podName, "name of this process [POD_NAME]")
}

// addReportFlags adds what the report API needs.
func (c *config) addReportFlags(f *pflag.FlagSet) {
	f.StringVar(&c.listen, "listen", ":8080", "address of reports, status page, metrics and health")
	f.BoolVar(&c.sourceIP, "accept-reports-by-source-ip", false, "take reports without a run UUID, told by their pod's address; weak, for clients of Kuberhealthy before v2.5")
	f.BoolVar(&c.unknownIsHealthy, "unknown-is-healthy", false, "show a check that owes an outcome as it was last, as Kuberhealthy does")
}

// addStartFlags adds what the starter needs.
func (c *config) addStartFlags(f *pflag.FlagSet) {
	f.IntVar(&c.startBurst, "start-burst", 20, "how many checks, at least 1, may start at the same moment before further ones are spread over their intervals")
}

// addOperationsFlags adds what a role without the report API needs.
func (c *config) addOperationsFlags(f *pflag.FlagSet) {
	f.StringVar(&c.operations, "operations-listen", ":8081", "address of /healthz, /readyz and /metrics")
}

// addLedgerFlag adds what reads or writes the ledger needs.
func (c *config) addLedgerFlag(f *pflag.FlagSet) {
	f.StringVar(&c.ledger, "ledger", c.ledger, "database with the record of each tick and run, sqlite:PATH or postgres://…; without it nothing is recorded [KHRONICLE_LEDGER]")
	hideDefault(f, "ledger")
}

// hideDefault keeps a secret of the environment out of --help.
func hideDefault(f *pflag.FlagSet, name string) { f.Lookup(name).DefValue = "" }

// addRunFlags adds what the worker needs.
func (c *config) addRunFlags(f *pflag.FlagSet) {
	f.StringVar(&c.namespace, "namespace", c.namespace, "namespace of this process, in the default reporting URL [POD_NAMESPACE]")
	f.StringVar(&c.reportingURL, "reporting-url", c.reportingURL, "where checks report [KH_EXTERNAL_REPORTING_URL]")
	c.addLedgerFlag(f)
	f.DurationVar(&c.records.PassesFor, flagPassAge, c.records.PassesFor, "the ledger keeps the records of successful, skipped and paused runs this long")
	f.DurationVar(&c.records.FailuresFor, flagFailureAge, c.records.FailuresFor, "the ledger keeps the records of missed runs, of failed runs and of runs with a failed attempt this long")
	f.DurationVar(&c.records.EvidenceFor, flagEvidenceAge, c.records.EvidenceFor, "the ledger keeps the evidence of failed runs this long")
	f.Var((*byteSize)(&c.records.EvidenceBytes), flagEvidenceBytes, "the ledger keeps this much evidence, such as 500Mi, and removes the oldest beyond that")
	f.Int64Var(&c.records.MaxRows, flagRecords, c.records.MaxRows, "the ledger keeps this many records; beyond that it removes the oldest, those of successful runs first")
	f.StringVar(&c.heartbeatURL, "heartbeat-url", c.heartbeatURL, "what is asked for every 30 s as long as Temporal and a worker work, such as https://hc-ping.com/UUID [KHRONICLE_HEARTBEAT_URL]")
	hideDefault(f, "heartbeat-url")
	f.Float64Var(&c.podStarts, flagPodStarts, defaultPodStarts, "how many checker pods a worker starts per second; further runs queue; 0 is without limit")
	f.IntVar(&c.runningPods, flagRunningPods, defaultRunningPods, "how many checker pods may run at once in the cluster; further runs queue; 0 is without limit")
	f.DurationVar(&c.reapInterval, "reap-interval", c.reapInterval, "how often old pods and jobs are looked for ["+envReapInterval+"]")
	f.IntVar(&c.retention.MaxCompletedPods, "max-completed-pods", c.retention.MaxCompletedPods, "Succeeded pods to keep of each check")
	f.IntVar(&c.retention.MaxErrorPods, "max-error-pods", c.retention.MaxErrorPods, "Failed pods to keep of each check")
	f.DurationVar(&c.retention.MaxPodAge, "max-check-pod-age", c.retention.MaxPodAge, "how long finished pods are kept, 0 for ever")
	f.DurationVar(&c.retention.MaxJobAge, "max-job-age", c.retention.MaxJobAge, "how long completed jobs are kept, 0 for ever")
}

// checkLimits says at the start what is wrong with the limits of pods.
func (c *config) checkLimits() error {
	if c.podStarts < 0 {
		return fmt.Errorf("--%s: %v is less than 0", flagPodStarts, c.podStarts)
	}
	if c.runningPods < 0 {
		return fmt.Errorf("--%s: %d is less than 0", flagRunningPods, c.runningPods)
	}
	return nil
}

func (c *config) restConfig() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	found, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster (set --kubeconfig or KUBECONFIG): %w", err)
	}
	return found, nil
}
