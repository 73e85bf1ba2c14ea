package main

import (
	"fmt"
	"log/slog"

	settings "github.com/khronicle/khronicle/internal/config"
	"github.com/khronicle/khronicle/internal/protocol"
)

// loadSettings reads the configuration file for the first time. Without a file the flags and defaults are used.
func (c *config) loadSettings(level *slog.LevelVar, logger *slog.Logger) (*settings.Live, error) {
	overrides, err := c.overrides()
	if err != nil {
		return nil, err
	}
	options := settings.Options{
		Path: c.file, Required: c.isSet("config"), Defaults: c.defaultSettings(), Overrides: overrides, Level: level, Logger: logger,
	}
	if c.forceMaster {
		options.Ignored = []string{"--forceMaster: has no effect: there is no master"}
	}
	live, err := settings.Load(options)
	if err != nil {
		return nil, err
	}
	if c.reapFault != "" && c.has(flagReapInterval) && !c.isSet(flagReapInterval) {
		logger.Warn("the default reap interval is used", "variable", envReapInterval, "problem", c.reapFault)
	}
	return live, nil
}

// defaultSettings returns the values of keys that the configuration file does not have.
func (c *config) defaultSettings() settings.Settings {
	s := settings.Defaults()
	s.ListenAddress, s.ReportingURL = c.listen, protocol.ReportingURL(c.namespace)
	return s
}

// overrides returns the flags and variables that are set. The key is the key of the configuration file that each replaces.
func (c *config) overrides() (settings.Overrides, error) {
	o := settings.Overrides{}
	override := func(when bool, key, source string, set func(*settings.Settings)) {
		if when {
			o[key] = settings.Override{Source: source, Set: set}
		}
	}
	flag := func(name, key string, set func(*settings.Settings)) { override(c.isSet(name), key, "--"+name, set) }
	level, err := settings.ParseLevel(c.logLevel)
	if err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	if c.debug {
		level = slog.LevelDebug
	}
	kept := c.retention
	override(c.debug || c.isSet("log-level"), "logLevel", "--log-level", func(s *settings.Settings) { s.LogLevel = level })
	override(c.reportingURL != "", "externalCheckReportingURL", c.source(flagReportingURL, envReportingURL),
		func(s *settings.Settings) { s.ReportingURL = c.reportingURL })
	flag("listen", "listenAddress", func(s *settings.Settings) { s.ListenAddress = c.listen })
	flag("max-completed-pods", "maxCompletedPodCount", func(s *settings.Settings) { s.Retention.MaxCompletedPods = kept.MaxCompletedPods })
	flag("max-error-pods", "maxErrorPodCount", func(s *settings.Settings) { s.Retention.MaxErrorPods = kept.MaxErrorPods })
	flag("max-check-pod-age", "maxCheckPodAge", func(s *settings.Settings) { s.Retention.MaxPodAge = kept.MaxPodAge })
	flag("max-job-age", "maxKHJobAge", func(s *settings.Settings) { s.Retention.MaxJobAge = kept.MaxJobAge })
	return o, nil
}
