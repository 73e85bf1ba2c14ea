package config

import (
	"reflect"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// key is one key of the file.
type key struct {
	name string
	// read sets the value. Its error says what is wrong and what would be right.
	read func(*Settings, *yaml.Node) error
	same func(a, b *Settings) bool
	// restart is true for what is read only at the start of the process.
	restart bool
	// useless says why the key has no effect, if it has none.
	useless string
}

// keys are those of Kuberhealthy v2. A key of a mapping is written with a dot.
var keys = []key{
	atStart(value("listenAddress", func(s *Settings) *string { return &s.ListenAddress }, address)),
	value("logLevel", levelOf, level),
	atStart(value("influxUsername", func(s *Settings) *string { return &s.Influx.Username }, text)),
	atStart(value("influxPassword", func(s *Settings) *string { return &s.Influx.Password }, text)),
	atStart(value("influxURL", func(s *Settings) *string { return &s.Influx.URL }, httpURL("http://influxdb.monitoring:8086"))),
	atStart(value("influxDB", func(s *Settings) *string { return &s.Influx.Database }, text)),
	atStart(value("enableInflux", func(s *Settings) *bool { return &s.Influx.Enabled }, truth)),
	value("externalCheckReportingURL", func(s *Settings) *string { return &s.ReportingURL },
		httpURL("http://kuberhealthy.kuberhealthy.svc.cluster.local/externalCheckStatus")),
	value("maxKHJobAge", jobAgeOf, duration("15m")),
	value("maxCheckPodAge", podAgeOf, duration("72h")),
	value("maxCompletedPodCount", func(s *Settings) *int { return &s.Retention.MaxCompletedPods }, count),
	value("maxErrorPodCount", func(s *Settings) *int { return &s.Retention.MaxErrorPods }, count),
	value("stateMetadata", func(s *Settings) *map[string]string { return &s.Metadata }, texts),
	value("promMetricsConfig.suppressErrorLabel", func(s *Settings) *bool { return &s.Metrics.SuppressErrorLabel }, truth),
	value("promMetricsConfig.errorLabelMaxLength", func(s *Settings) *int { return &s.Metrics.ErrorLabelMaxLength }, integer),
	useless("enableForceMaster", "there is no master"),
	useless("namespace", "as in Kuberhealthy; TARGET_NAMESPACE names the namespaces whose checks are run"),
	useless("kubeConfigFile", "as in Kuberhealthy; KUBECONFIG names the file"),
}

// mapping is the one key under which there are other keys.
const mapping = "promMetricsConfig"

func jobAgeOf(s *Settings) *time.Duration { return &s.Retention.MaxJobAge }
func podAgeOf(s *Settings) *time.Duration { return &s.Retention.MaxPodAge }

// leasts are the values to which Kuberhealthy raises smaller ones.
var leasts = []struct {
	key   string
	at    func(*Settings) *time.Duration
	value time.Duration
}{
	{"maxKHJobAge", jobAgeOf, 5 * time.Minute},
	{"maxCheckPodAge", podAgeOf, 30 * time.Second},
}

func value[T any](name string, at func(*Settings) *T, read func(*yaml.Node) (T, error)) key {
	return key{
		name: name,
		read: func(s *Settings, n *yaml.Node) error {
			v, err := read(n)
			if err == nil {
				*at(s) = v
			}
			return err
		},
		same: func(a, b *Settings) bool { return reflect.DeepEqual(*at(a), *at(b)) },
	}
}

func atStart(k key) key {
	k.restart = true
	return k
}

func useless(name, why string) key {
	return key{
		name: name, useless: why,
		read: func(*Settings, *yaml.Node) error { return nil },
		same: func(_, _ *Settings) bool { return true },
	}
}

func find(name string) (key, bool) {
	i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
	if i < 0 {
		return key{}, false
	}
	return keys[i], true
}

// changed returns the names of the keys whose values differ.
func changed(a, b *Settings) []string {
	names := []string{}
	for _, k := range keys {
		if !k.same(a, b) {
			names = append(names, k.name)
		}
	}
	return names
}
