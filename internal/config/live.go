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

// Options say where settings come from.
type Options struct {
	// Path is the file. Without one the defaults and overrides are all there is.
	Path string
	// Required makes a missing file an error.
	Required bool
	// Defaults hold where the file is silent.
	Defaults Settings
	// Overrides go before the file.
	Overrides Overrides
	// Ignored are flags that were given and have no effect, named where the file's keys without effect are.
	Ignored []string
	// Level follows the log level, if it is not nil.
	Level  *slog.LevelVar
	Logger *slog.Logger
}

// Live has the settings as they are now. Its methods may be called from anywhere at any time.
type Live struct {
	options Options
	// start are the settings at the start, for what is read only then.
	start   Settings
	present atomic.Pointer[state]
	metrics reloadMetrics
	// seen is what the file was at the last look, handled what was last read or refused.
	seen, handled digest
}

// state is what is in force. It never changes.
type state struct {
	file      Settings // without overrides
	effective Settings
	warnings  []string
}

// Load reads the file for the first time. Run keeps up with it from then on.
func Load(o Options) (*Live, error) {
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
	l.warn(slices.Concat(o.Ignored, warnings))
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

// Register adds the metrics that tell how the last reload went.
func (l *Live) Register(r prometheus.Registerer) error {
	for _, c := range l.metrics.collectors() {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

func (l *Live) effective() Settings { return l.present.Load().effective }

// Retention says which finished pods and jobs are kept.
func (l *Live) Retention() check.Retention { return check.Retention(l.effective().Retention) }

// ReportingURL is where checks that start now post their reports.
func (l *Live) ReportingURL() string { return l.effective().ReportingURL }

// Metadata is shown on the status page. The map is the caller's own; it is nil when there is nothing to show.
func (l *Live) Metadata() map[string]string { return maps.Clone(l.effective().Metadata) }

// Metrics says how the errors of checks appear in the metrics.
func (l *Live) Metrics() MetricsConfig { return l.effective().Metrics }

// ListenAddress is where reports were to be taken when the process started.
func (l *Live) ListenAddress() string { return l.start.ListenAddress }

// Influx says where outcomes were to be pushed to when the process started.
func (l *Live) Influx() InfluxConfig { return l.start.Influx }

// read returns the content of the file, and nothing for no file.
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
