package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"

	settings "github.com/khronicle/khronicle/internal/config"
	"github.com/khronicle/khronicle/internal/health"
	"github.com/khronicle/khronicle/internal/heartbeat"
	"github.com/khronicle/khronicle/internal/telemetry"
	"github.com/khronicle/khronicle/kube"
)

// dialPause is how long to wait between two tries to reach Temporal at the start.
const dialPause = time.Second

// process is what the roles of one process share.
type process struct {
	*config
	live              *settings.Live
	logger            *slog.Logger
	metrics           telemetry.Metrics
	ready             *health.Readiness
	cluster           *kube.Cluster
	temporal          client.Client
	temporalNamespace string
}

func newProcess(c *config, watch kube.Options) (*process, error) {
	if err := c.checkLimits(); err != nil {
		return nil, err
	}
	if err := c.checkLedger(); err != nil {
		return nil, err
	}
	if err := heartbeat.Validate(c.heartbeatURL); err != nil {
		return nil, fmt.Errorf("--heartbeat-url: %w", err)
	}
	level := &slog.LevelVar{}
	p := &process{config: c, ready: &health.Readiness{}, logger: telemetry.NewLogger(os.Stderr, level, c.logJSON)}
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

// connectTemporal makes a client that connects at its first use, so that the process can say that Temporal is not there.
func (p *process) connectTemporal() error {
	options, err := p.temporalOptions()
	if err != nil {
		return err
	}
	options.Logger = log.NewStructuredLogger(p.logger)
	options.MetricsHandler = p.metrics.Temporal
	options.Identity = p.podName
	if p.temporal, err = client.NewLazyClient(options); err != nil {
		return fmt.Errorf("make Temporal client: %w", err)
	}
	p.temporalNamespace = options.Namespace
	if p.temporalNamespace == "" {
		p.temporalNamespace = client.DefaultNamespace
	}
	p.ready.Add("informers", p.cluster.Synced)
	p.ready.Add("kubernetes", p.cluster.Reachable)
	p.ready.Add("temporal", p.temporalReady)
	return nil
}

// temporalOptions are those of the TEMPORAL_* variables and profile, or of the server that `khronicle dev` started.
func (p *process) temporalOptions() (client.Options, error) {
	if p.devServer != "" {
		return client.Options{HostPort: p.devServer}, nil
	}
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return options, fmt.Errorf("read the TEMPORAL_* settings: %w", err)
	}
	return options, nil
}

func (p *process) temporalReady(ctx context.Context) error {
	_, err := p.temporal.CheckHealth(ctx, &client.CheckHealthRequest{})
	return err
}

// awaitBackends returns once the cluster has been read and Temporal answers.
func (p *process) awaitBackends(ctx context.Context) error {
	p.cluster.Start(ctx)
	if err := p.cluster.WaitForSync(ctx); err != nil {
		return err
	}
	for {
		probe, cancel := context.WithTimeout(ctx, dialPause*2)
		err := p.temporalReady(probe)
		cancel()
		if err == nil {
			return nil
		}
		p.logger.Warn("waiting for Temporal", "error", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(dialPause):
		}
	}
}
