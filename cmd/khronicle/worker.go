package main

import (
	"context"
	"fmt"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/internal/deadman"
	"github.com/khronicle/khronicle/internal/influx"
	"github.com/khronicle/khronicle/worker"
)

func runWorker(ctx context.Context, p *process) error {
	options := worker.Options{
		Temporal: p.temporal, Cluster: p.cluster, ReportingURL: p.live.ReportingURL, Name: p.podName,
		Retention: p.live.Retention, ReapInterval: p.reapInterval, Logger: p.logger, Build: buildVersion(),
		Series:  p.metrics,
		Limiter: activities.NewLimiter(p.podStarts, p.runningPods, p.cluster),
	}
	if p.stored != nil {
		options.Ledger = p.stored
	}
	deadmanSwitch, err := deadman.New(p.deadmanURL, p.logger)
	if err != nil {
		return err
	}
	if err := p.metrics.Registry.Register(deadmanSwitch); err != nil {
		return fmt.Errorf("register the metrics of the dead man's switch: %w", err)
	}
	options.Deadman = deadmanSwitch
	exporter, err := p.influxExporter()
	if err != nil {
		return err
	}
	if exporter != nil {
		defer exporter.Close() // sends what is left, for a bounded time
		options.Exporter = exporter
	}
	return worker.Run(ctx, options)
}

// influxExporter returns the exporter that the configuration file asks for, or nil.
func (p *process) influxExporter() (*influx.Exporter, error) {
	wanted := p.live.Influx()
	if !wanted.Enabled {
		return nil, nil
	}
	exporter, err := influx.New(influx.Options{
		URL: wanted.URL, Username: wanted.Username, Password: wanted.Password, Database: wanted.Database,
	}, p.logger)
	if err != nil {
		return nil, err
	}
	if err := p.metrics.Registry.Register(exporter); err != nil {
		return nil, fmt.Errorf("register the metrics of the InfluxDB export: %w", err)
	}
	return exporter, nil
}
