// Package config reads Kuberhealthy's configuration file and follows its changes while the process runs.
// It never acts on a setting: whoever needs one asks for it at that moment.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/khronicle/khronicle/check"
)

// DefaultPath is where Kuberhealthy's chart mounts the file.
const DefaultPath = "/etc/config/kuberhealthy.yaml"

// Settings are the keys of the file that have an effect, which are those of Kuberhealthy v2. The tag yaml names the key.
// The tag reload:"restart" marks what is read only at the start of the process. The tag least is the least duration.
type Settings struct {
	// ListenAddress is where reports are received and pages are served, such as ":8080".
	ListenAddress string       `yaml:"listenAddress" reload:"restart"`
	LogLevel      slog.Level   `yaml:"logLevel"`
	Influx        InfluxConfig `yaml:",inline" reload:"restart"`
	// ReportingURL is where checks post their reports.
	ReportingURL string    `yaml:"externalCheckReportingURL"`
	Retention    Retention `yaml:",inline"`
	// Metadata is shown on the status page.
	Metadata map[string]string `yaml:"stateMetadata"`
	Metrics  MetricsConfig     `yaml:"promMetricsConfig"`
}

// InfluxConfig says where outcomes are sent to.
type InfluxConfig struct {
	Username string `yaml:"influxUsername"`
	Password string `yaml:"influxPassword" json:"-"`
	URL      string `yaml:"influxURL"`
	Database string `yaml:"influxDB"`
	Enabled  bool   `yaml:"enableInflux"`
}

// String shows no password, so that no log has it.
func (c InfluxConfig) String() string {
	return fmt.Sprintf("{enabled: %t, database: %q}", c.Enabled, c.Database)
}

// Retention is check.Retention with its keys in the file.
type Retention struct {
	MaxCompletedPods int           `yaml:"maxCompletedPodCount"`
	MaxErrorPods     int           `yaml:"maxErrorPodCount"`
	MaxPodAge        time.Duration `yaml:"maxCheckPodAge" least:"30s"`
	MaxJobAge        time.Duration `yaml:"maxKHJobAge" least:"5m"`
}

// MetricsConfig says how the errors of checks appear in the metrics.
type MetricsConfig struct {
	// SuppressErrorLabel leaves the label "error" out.
	SuppressErrorLabel bool `yaml:"suppressErrorLabel"`
	// ErrorLabelMaxLength is the most bytes of an error that are shown. 0 or less means all.
	ErrorLabelMaxLength int `yaml:"errorLabelMaxLength"`
}

// withoutEffect are the keys of Kuberhealthy v2 that Khronicle accepts and does not use, and why.
var withoutEffect = map[string]string{
	"enableForceMaster": "there is no master",
	"namespace":         "as in Kuberhealthy; TARGET_NAMESPACE names the namespaces whose checks are run",
	"kubeConfigFile":    "as in Kuberhealthy; KUBECONFIG names the file",
}

// Defaults are the settings of an empty file.
func Defaults() Settings {
	return Settings{LogLevel: slog.LevelInfo, Retention: Retention(check.DefaultRetention())}
}

// Override is a setting from a flag or the environment.
type Override struct {
	// Source is the flag or variable, such as --log-level.
	Source string
	Set    func(*Settings)
}

// Overrides are the settings from flags and the environment, by the key of the file that they replace.
type Overrides map[string]Override

func (o Overrides) apply(s Settings) Settings {
	for _, override := range o {
		override.Set(&s)
	}
	return s
}

// problems returns those of a list that a flag or the environment causes, each with its source.
func (o Overrides) problems(all []problem) []string {
	var texts []string
	for _, p := range all {
		if override, ok := o[p.key]; ok {
			texts = append(texts, override.Source+": "+p.text)
		}
	}
	return texts
}

// validate returns an error that joins one for each flag or variable with a wrong value.
func (o Overrides) validate(defaults Settings) error {
	var errs []error
	for _, text := range o.problems(o.apply(defaults).faults()) {
		errs = append(errs, errors.New(text))
	}
	return errors.Join(errs...)
}

// logrusLevels are Kuberhealthy's levels that slog does not know. What is logged as an error is visible at every level.
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
