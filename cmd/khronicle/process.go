package main

import (
	"fmt"
	"log/slog"
	"os"

	"go.temporal.io/sdk/client"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	settings "github.com/khronicle/khronicle/internal/config"
	"github.com/khronicle/khronicle/internal/operations"
	"github.com/khronicle/khronicle/internal/telemetry"
	"github.com/khronicle/khronicle/kube"
	"github.com/khronicle/khronicle/ledger"
)

// process is what the roles of one process share.
type process struct {
	*config
	live    *settings.Live
	logger  *slog.Logger
	metrics telemetry.Metrics
	ready   *operations.Readiness
	cluster *kube.Cluster
	// stored is the ledger of the roles, or nil.
	stored            *ledger.Ledger
	temporal          client.Client
	temporalNamespace string
}

// newProcess validates the flags and variables, reads the configuration file and makes the clients. It connects to nothing.
func newProcess(c *config, watch kube.Options) (*process, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	level := &slog.LevelVar{}
	p := &process{config: c, ready: &operations.Readiness{}, logger: telemetry.Quiet(telemetry.NewLogger(os.Stderr, level, c.logJSON))}
	telemetry.LogClientGo(p.logger)
	var err error
	if p.live, err = c.loadSettings(level, p.logger); err != nil {
		return nil, err
	}
	p.metrics = telemetry.NewMetrics()
	if err := p.live.Register(p.metrics.Registry); err != nil {
		return nil, err
	}
	if watch.Config, err = c.restConfig(); err != nil {
		return nil, err
	}
	watch.Namespaces = c.targetNamespaces
	if p.cluster, err = kube.New(watch); err != nil {
		return nil, err
	}
	return p, p.connectTemporal()
}

// clientConfig returns the kubeconfig that the flags name.
func (c *config) clientConfig() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.context})
}

// restConfig returns the address and credentials of the cluster.
func (c *config) restConfig() (*rest.Config, error) {
	found, err := c.clientConfig().ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster (set --kubeconfig or KUBECONFIG): %w", err)
	}
	return found, nil
}
