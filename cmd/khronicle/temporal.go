package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// reconnect bounds the pauses between two tries to reach a Temporal that was away. The report API holds reports meanwhile, and
// the SDK's pauses of ten seconds would take half of the time for which it does.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
	MinConnectTimeout: 5 * time.Second,
}

// connectTemporal makes a client that connects at its first use. So the process can report that Temporal does not answer.
func (p *process) connectTemporal() error {
	options, err := p.temporalOptions()
	if err != nil {
		return err
	}
	options.Logger = log.NewStructuredLogger(p.logger)
	options.MetricsHandler = p.metrics.Temporal
	options.Identity = p.podName
	// The messages are small, and gzip, the SDK's default, takes processor time on both sides.
	options.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	options.ConnectionOptions.DialOptions = append(options.ConnectionOptions.DialOptions, grpc.WithConnectParams(reconnect))
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

// temporalOptions returns the options of the TEMPORAL_* variables and profile, or of the server that `khronicle dev` started.
func (p *process) temporalOptions() (client.Options, error) {
	if p.devServer != "" {
		return client.Options{HostPort: p.devServer}, nil
	}
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return options, fmt.Errorf("read the TEMPORAL_* settings: %w", err)
	}
	options.HostPort = cmp.Or(p.temporalAddress, options.HostPort)
	return options, nil
}

// temporalReady returns nil if Temporal answers.
func (p *process) temporalReady(ctx context.Context) error {
	_, err := p.temporal.CheckHealth(ctx, &client.CheckHealthRequest{})
	return err
}
