// Package config reads Kuberhealthy's configuration file and keeps up with it while the process runs. It touches no run:
// who needs a setting asks for it when it is needed.
package config

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/khronicle/khronicle/check"
)

// DefaultPath is where Kuberhealthy's chart mounts the file.
const DefaultPath = "/etc/config/kuberhealthy.yaml"

// Settings are what can be set by the file.
type Settings struct {
	// ListenAddress is where reports are taken and pages are served, such as ":8080".
	ListenAddress string
	LogLevel      slog.Level
	// ReportingURL is where checks post their reports.
	ReportingURL string
	Retention    check.Retention
	// Metadata is shown on the status page.
	Metadata map[string]string
	Metrics  MetricsConfig
	Influx   InfluxConfig
}

// MetricsConfig says how the errors of checks appear in the metrics.
type MetricsConfig struct {
	// SuppressErrorLabel leaves the label "error" out.
	SuppressErrorLabel bool
	// ErrorLabelMaxLength is the most bytes of an error that are shown. 0 or less means all.
	ErrorLabelMaxLength int
}

// InfluxConfig says where outcomes are pushed to.
type InfluxConfig struct {
	Enabled  bool
	URL      string
	Username string
	Password string `json:"-"`
	Database string
}

// String shows no password, so that none lands in a log.
func (c InfluxConfig) String() string {
	return fmt.Sprintf("{enabled: %t, database: %q}", c.Enabled, c.Database)
}

// Defaults are the settings of an empty file.
func Defaults() Settings {
	return Settings{LogLevel: slog.LevelInfo, Retention: check.DefaultRetention()}
}

// Overrides are what flags and the environment say, by the key of the file that they go before.
type Overrides map[string]func(*Settings)

func (o Overrides) apply(s Settings) Settings {
	for _, set := range o {
		set(&s)
	}
	return s
}

// logrusLevels are Kuberhealthy's words that slog does not know. What is logged as an error stays visible at every level.
var logrusLevels = map[string]slog.Level{
	"trace": slog.LevelDebug, "warning": slog.LevelWarn, "fatal": slog.LevelError, "panic": slog.LevelError,
}

// ParseLevel reads a log level by Kuberhealthy's or slog's name of it.
func ParseLevel(text string) (level slog.Level, err error) {
	if level, known := logrusLevels[strings.ToLower(text)]; known {
		return level, nil
	}
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return level, fmt.Errorf("%s is not trace, debug, info, warn, error, fatal or panic", show(text))
	}
	return level, nil
}
