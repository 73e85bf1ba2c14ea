package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/khronicle/khronicle/check"
)

// maxSize bounds the file. A ConfigMap is no larger.
const maxSize = 1 << 20

// Options say where the settings come from.
type Options struct {
	// Path is the file. It may be empty: then only defaults and overrides count.
	Path string
	// Required makes a missing file an error.
	Required bool
	// Defaults are the values of absent keys.
	Defaults Settings
	// Overrides replace values of the file.
	Overrides Overrides
	// Ignored are warnings about flags without effect. They are logged together with those about the file.
	Ignored []string
	// Level is set to the log level at each change. It may be nil.
	Level  *slog.LevelVar
	Logger *slog.Logger
}

// Live has the current settings. Its methods are safe for concurrent use.
type Live struct {
	options Options
	// start are the settings at the start of the process, for keys that are read only then.
	start   Settings
	present atomic.Pointer[state]
	metrics reloadMetrics
	// seen is the content at the last look, handled the content that was last read or refused.
	seen, handled digest
}

// state is the settings in force. It is immutable.
type state struct {
	file      Settings // without overrides
	effective Settings
	warnings  []string
}

// Load reads the file for the first time. Run follows its changes.
func Load(o Options) (*Live, error) {
	if err := o.Overrides.validate(o.Defaults); err != nil {
		return nil, err
	}
	l := &Live{options: o, metrics: newReloadMetrics()}
	content, err := read(o.Path)
	l.handled = digestOf(content, err)
	l.seen = l.handled
	missing := errors.Is(err, fs.ErrNotExist) && !o.Required
	if err != nil && !missing {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	file, warnings, err := Parse(o.Path, content, o.Defaults)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	l.apply(file, warnings)
	l.start = l.present.Load().effective
	if !missing && o.Path != "" {
		o.Logger.Info("configuration read", "path", o.Path)
	}
	l.warn(slices.Concat(o.Ignored, o.Overrides.problems(l.start.doubts()), warnings))
	return l, nil
}

func (l *Live) apply(file Settings, warnings []string) {
	next := &state{file: file, effective: l.options.Overrides.apply(file), warnings: warnings}
	l.present.Store(next)
	if l.options.Level != nil {
		l.options.Level.Set(next.effective.LogLevel)
	}
	l.metrics.succeeded()
}

func (l *Live) warn(warnings []string) {
	if len(warnings) > 0 {
		l.options.Logger.Warn("configuration has warnings", "warnings", warnings)
	}
}

// Register adds the metrics of the last reload.
func (l *Live) Register(r prometheus.Registerer) error {
	for _, c := range l.metrics.collectors() {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

func (l *Live) effective() Settings { return l.present.Load().effective }

// Retention says which finished pods and jobs stay.
func (l *Live) Retention() check.Retention { return check.Retention(l.effective().Retention) }

// ReportingURL is where new checker pods post their reports.
func (l *Live) ReportingURL() string { return l.effective().ReportingURL }

// Metadata is shown on the status page. It is a copy, and nil when there is nothing to show.
func (l *Live) Metadata() map[string]string { return maps.Clone(l.effective().Metadata) }

// Metrics says how the errors of checks appear in the metrics.
func (l *Live) Metrics() MetricsConfig { return l.effective().Metrics }

// ListenAddress is the address at the start of the process.
func (l *Live) ListenAddress() string { return l.start.ListenAddress }

// Influx is the configuration of InfluxDB at the start of the process.
func (l *Live) Influx() InfluxConfig { return l.start.Influx }

// read returns the content of the file, or nil for an empty path.
func read(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err == nil && len(content) > maxSize {
		err = fmt.Errorf("%s is larger than 1 MiB", path)
	}
	return content, err
}
