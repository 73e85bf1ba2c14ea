package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
)

// config is what the flags and the environment say. Temporal's own settings are the TEMPORAL_* variables.
type config struct {
	kubeconfig, context string
	podName, namespace  string
	targetNamespaces    []string
	listen, operations  string
	reportingURL        string
	logLevel            string
	logJSON             bool
	// devServer is the address of the Temporal server that this process started itself, if it did.
	devServer    string
	reapInterval time.Duration
	retention    check.Retention
}

func defaultConfig() *config {
	hostname, _ := os.Hostname() // a name is nice to have, no more
	c := &config{
		podName:      cmp.Or(os.Getenv("POD_NAME"), hostname, "khronicle"),
		namespace:    cmp.Or(os.Getenv("POD_NAMESPACE"), "kuberhealthy"),
		reportingURL: os.Getenv("KH_EXTERNAL_REPORTING_URL"),
		retention:    check.DefaultRetention(),
	}
	if target := os.Getenv("TARGET_NAMESPACE"); target != "" {
		c.targetNamespaces = []string{target}
	}
	return c
}

// addClusterFlags adds what every command needs.
func (c *config) addClusterFlags(f *pflag.FlagSet) {
	f.StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, then ~/.kube/config, then in-cluster)")
	f.StringVar(&c.context, "context", "", "context of the kubeconfig (default: its current context)")
	f.StringSliceVar(&c.targetNamespaces, "target-namespaces", c.targetNamespaces, "namespaces whose checks are run, none for all [TARGET_NAMESPACE]")
	f.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	f.BoolVar(&c.logJSON, "log-json", false, "log JSON lines")
}

// addNameFlags adds what every role needs.
func (c *config) addNameFlags(f *pflag.FlagSet) {
	c.addClusterFlags(f)
	f.StringVar(&c.podName, "pod-name", c.podName, "name of this process [POD_NAME]")
}

// addReportFlags adds what the report API needs.
func (c *config) addReportFlags(f *pflag.FlagSet) {
	f.StringVar(&c.listen, "listen", ":8080", "address of reports, status page, metrics and health")
}

// addOperationsFlags adds what a role without the report API needs.
func (c *config) addOperationsFlags(f *pflag.FlagSet) {
	f.StringVar(&c.operations, "operations-listen", ":8081", "address of /healthz, /readyz and /metrics")
}

// addRunFlags adds what the worker needs.
func (c *config) addRunFlags(f *pflag.FlagSet) {
	f.StringVar(&c.namespace, "namespace", c.namespace, "namespace of this process, in the default reporting URL [POD_NAMESPACE]")
	f.StringVar(&c.reportingURL, "reporting-url", c.reportingURL, "where checks report [KH_EXTERNAL_REPORTING_URL]")
	f.DurationVar(&c.reapInterval, "reap-interval", 30*time.Second, "how often old pods and jobs are looked for")
	f.IntVar(&c.retention.MaxCompletedPods, "max-completed-pods", c.retention.MaxCompletedPods, "Succeeded pods to keep of each check")
	f.IntVar(&c.retention.MaxErrorPods, "max-error-pods", c.retention.MaxErrorPods, "Failed pods to keep of each check")
	f.DurationVar(&c.retention.MaxPodAge, "max-check-pod-age", c.retention.MaxPodAge, "how long finished pods are kept, 0 for ever")
	f.DurationVar(&c.retention.MaxJobAge, "max-job-age", c.retention.MaxJobAge, "how long completed jobs are kept, 0 for ever")
}

func (c *config) level() (level slog.Level, err error) {
	if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
		return level, fmt.Errorf("--log-level: %q is not debug, info, warn or error", c.logLevel)
	}
	return level, nil
}

func (c *config) reportTo() string {
	return cmp.Or(c.reportingURL, protocol.ReportingURL(c.namespace))
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
