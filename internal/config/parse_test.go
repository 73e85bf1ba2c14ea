package config_test

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/internal/config"
)

const file = "/etc/config/kuberhealthy.yaml"

// defaults differ from the zero values, so that a key that is read wrongly shows.
func defaults() config.Settings {
	s := config.Defaults()
	s.ListenAddress, s.ReportingURL = ":80", "http://default/check"
	return s
}

func TestParseReadsEveryKeyOfKuberhealthy(t *testing.T) {
	content, err := os.ReadFile("testdata/kuberhealthy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, warnings, err := config.Parse(file, content, defaults())
	if err != nil {
		t.Fatal(err)
	}
	want := config.Settings{
		ListenAddress: ":8080", LogLevel: slog.LevelDebug, ReportingURL: "https://health.example.com/externalCheckStatus",
		Retention: config.Retention{MaxCompletedPods: 3, MaxErrorPods: 0, MaxPodAge: 48 * time.Hour, MaxJobAge: 20 * time.Minute},
		Metadata:  map[string]string{"cluster": "east", "shard": "7", "owner": ""},
		Metrics:   config.MetricsConfig{SuppressErrorLabel: true, ErrorLabelMaxLength: 120},
		Influx:    config.InfluxConfig{Enabled: true, URL: "http://influx:8086", Username: "health", Password: "hunter2", Database: "checks"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings differ (-want +got):\n%s", diff)
	}
	wantWarnings := []string{
		file + ":3: enableForceMaster: has no effect: there is no master",
		file + ":23: namespace: has no effect: as in Kuberhealthy; TARGET_NAMESPACE names the namespaces whose checks are run",
		file + ":24: kubeConfigFile: has no effect: as in Kuberhealthy; KUBECONFIG names the file",
	}
	if diff := cmp.Diff(wantWarnings, warnings); diff != "" {
		t.Errorf("warnings differ (-want +got):\n%s", diff)
	}
}

func TestParseAccepts(t *testing.T) {
	with := func(change func(*config.Settings)) config.Settings {
		s := defaults()
		change(&s)
		return s
	}
	tests := []struct {
		name, content string
		want          config.Settings
	}{
		{"nothing", "", defaults()},
		{"comments alone", "# logLevel: debug\n", defaults()},
		{"an empty document", "---\n", defaults()},
		{"null", "null\n", defaults()},
		{"an empty mapping", "{}\n", defaults()},
		{"a byte order mark", "\ufefflistenAddress: :90\n", with(func(s *config.Settings) { s.ListenAddress = ":90" })},
		{"lines as on Windows", "listenAddress: :90\r\nmaxErrorPodCount: 1\r\n", with(func(s *config.Settings) {
			s.ListenAddress, s.Retention.MaxErrorPods = ":90", 1
		})},
		{"empty keys", "listenAddress:\nlogLevel: \"\"\nmaxKHJobAge: ''\nmaxErrorPodCount: ~\nenableInflux: null\n" +
			"stateMetadata:\npromMetricsConfig:\nexternalCheckReportingURL: \"\"\n", defaults()},
		{"empty mappings", "stateMetadata: {}\npromMetricsConfig: {}\n", defaults()},
		{"JSON", `{"maxErrorPodCount": 2, "logLevel": "error"}`, with(func(s *config.Settings) {
			s.Retention.MaxErrorPods, s.LogLevel = 2, slog.LevelError
		})},
		{"quoted numbers", "maxCompletedPodCount: \"2\"\nmaxErrorPodCount: '0'\n", with(func(s *config.Settings) {
			s.Retention.MaxCompletedPods, s.Retention.MaxErrorPods = 2, 0
		})},
		{"words for true", "enableInflux: yes\ninfluxURL: http://i\ninfluxDB: d\npromMetricsConfig: {suppressErrorLabel: \"On\"}", with(func(s *config.Settings) {
			s.Influx, s.Metrics.SuppressErrorLabel = config.InfluxConfig{Enabled: true, URL: "http://i", Database: "d"}, true
		})},
		{"a password of digits", "influxPassword: 0123\ninfluxUsername: true\n", with(func(s *config.Settings) {
			s.Influx.Password, s.Influx.Username = "0123", "true"
		})},
		{"a password that is quoted", "influxPassword: '!*&%@'\n", with(func(s *config.Settings) { s.Influx.Password = "!*&%@" })},
		{"compound durations", "maxKHJobAge: 1h30m\nmaxCheckPodAge: 90s\n", with(func(s *config.Settings) {
			s.Retention.MaxJobAge, s.Retention.MaxPodAge = 90*time.Minute, 90*time.Second
		})},
		{"the least ages", "maxKHJobAge: 5m\nmaxCheckPodAge: 30s\n", with(func(s *config.Settings) {
			s.Retention.MaxJobAge, s.Retention.MaxPodAge = 5*time.Minute, 30*time.Second
		})},
		{"an error label without a limit", "promMetricsConfig:\n  errorLabelMaxLength: -1\n", with(func(s *config.Settings) {
			s.Metrics.ErrorLabelMaxLength = -1
		})},
		{"anchors", "maxKHJobAge: &age 20m\nmaxCheckPodAge: *age\nstateMetadata: {a: *age}\n", with(func(s *config.Settings) {
			s.Retention.MaxJobAge, s.Retention.MaxPodAge, s.Metadata = 20*time.Minute, 20*time.Minute, map[string]string{"a": "20m"}
		})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, warnings, err := config.Parse(file, []byte(tt.content), defaults())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("settings differ (-want +got):\n%s", diff)
			}
			if warnings != nil {
				t.Errorf("warnings %q, want none", warnings)
			}
		})
	}
}

func TestParseWarnsOf(t *testing.T) {
	tests := []struct {
		name, content string
		want          []string // without the file's name
	}{
		{"a misspelt key", "logLevel: info\nlogLevle: debug\n", []string{"2: logLevle: unknown; did you mean logLevel?"}},
		{"another case", "maxkhjobage: 1h\n", []string{"1: maxkhjobage: unknown; did you mean maxKHJobAge?"}},
		{"a key of an older version", "maxCompletedCheckPods: 4\n", []string{"1: maxCompletedCheckPods: unknown; did you mean maxCompletedPodCount?"}},
		{"a key like no other", "zzz: 1\n", []string{"1: zzz: unknown"}},
		{"a key that belongs deeper", "errorLabelMaxLength: 1\n", []string{"1: errorLabelMaxLength: unknown; did you mean promMetricsConfig.errorLabelMaxLength?"}},
		{"a misspelt key in a mapping", "promMetricsConfig:\n  suppressErrorLabels: true\n", []string{
			"2: promMetricsConfig.suppressErrorLabels: unknown; did you mean promMetricsConfig.suppressErrorLabel?",
		}},
		{"a key with a value in it", "{influxPassword:hunter2, logLevel: info}\n", []string{"1: influxPassword: unknown; did you mean influxPassword?"}},
		{"an empty key", "\"\": 1\n", []string{"1: ?: unknown"}},
		{"a key twice", "maxErrorPodCount: 1\nlogLevel: info\nmaxErrorPodCount: 2\n", []string{
			"3: maxErrorPodCount: also in line 1; the last one counts",
		}},
		{"ages that are raised", "maxKHJobAge: 0s\nmaxCheckPodAge: -1m\n", []string{
			"1: maxKHJobAge: raised from 0s to 5m0s, as in Kuberhealthy", "2: maxCheckPodAge: raised from -1m0s to 30s, as in Kuberhealthy",
		}},
		{"a reporting URL without its path", "externalCheckReportingURL: http://host.kubebox:8080\n", []string{
			"1: externalCheckReportingURL: does not end in /externalCheckStatus or /check, so reports are refused unless a proxy adds the path",
		}},
		{"a second document", "logLevel: info\n---\nlogLevel: debug\n", []string{"2: ---: only the first document is read"}},
		{"in the order of lines", "namespace: a\nx: 1\nenableForceMaster: true\n", []string{
			"1: namespace: has no effect: as in Kuberhealthy; TARGET_NAMESPACE names the namespaces whose checks are run",
			"2: x: unknown", "3: enableForceMaster: has no effect: there is no master",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, got, err := config.Parse(file, []byte(tt.content), defaults())
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, line := range tt.want {
				want = append(want, file+":"+line)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("warnings differ (-want +got):\n%s", diff)
			}
		})
	}
}

// The last of two equal keys counts, and raised values are in force.
func TestParseAppliesWhatItWarnsOf(t *testing.T) {
	got, _, err := config.Parse(file, []byte("maxErrorPodCount: 1\nmaxErrorPodCount: 2\nmaxKHJobAge: 1s\nmaxCheckPodAge: 1s\n"), defaults())
	if err != nil {
		t.Fatal(err)
	}
	want := config.Retention{MaxCompletedPods: 4, MaxErrorPods: 2, MaxJobAge: 5 * time.Minute, MaxPodAge: 30 * time.Second}
	if got.Retention != want {
		t.Errorf("got %+v, want %+v", got.Retention, want)
	}
}

func TestParseReportsEachFault(t *testing.T) {
	tests := []struct {
		name, content string
		want          []string // without the file's name
	}{
		{"a duration in words", "\n\nmaxKHJobAge: 15 minutes\n", []string{`3: maxKHJobAge: "15 minutes" is not a duration such as "15m"; write "15m"`}},
		{"a duration without a unit", "maxCheckPodAge: 900\n", []string{`1: maxCheckPodAge: "900" is not a duration such as "15m"`}},
		{"a level", "logLevel: loud\n", []string{`1: logLevel: "loud" is not trace, debug, info, warn, error, fatal or panic`}},
		{"a number that is none", "maxErrorPodCount: four\n", []string{`1: maxErrorPodCount: "four" is not a whole number such as 100`}},
		{"a fraction", "maxErrorPodCount: 4.7\n", []string{`1: maxErrorPodCount: "4.7" is not a whole number such as 100`}},
		{"a number that is too large", "maxErrorPodCount: 99999999999999999999\n", []string{`1: maxErrorPodCount: "99999999999999999999" is not a whole number such as 100`}},
		{"a number below 0", "maxCompletedPodCount: -1\n", []string{"1: maxCompletedPodCount: -1 is less than 0, which already means no pods"}},
		{"neither true nor false", "enableInflux: perhaps\n", []string{`1: enableInflux: "perhaps" is not true or false`}},
		{"an address without a port", "listenAddress: localhost\n", []string{`1: listenAddress: "localhost" is not an address such as ":8080"`}},
		{"an address with a port that cannot be", "listenAddress: :99999\n", []string{`1: listenAddress: ":99999" is not an address such as ":8080"`}},
		{"a URL with a port that cannot be", "influxURL: http://influx:99999\n", []string{`1: influxURL: not a URL such as "http://influxdb.monitoring:8086"`}},
		{"an address with an empty port", "listenAddress: 'localhost:'\n", []string{`1: listenAddress: "localhost:" is not an address such as ":8080"`}},
		{"a URL without a scheme", "externalCheckReportingURL: kuberhealthy/externalCheckStatus\n", []string{
			`1: externalCheckReportingURL: not a URL such as "http://kuberhealthy.kuberhealthy.svc.cluster.local/externalCheckStatus"`,
		}},
		{"a URL of another scheme", "influxURL: udp://user:hunter2@influx:8089\n", []string{`1: influxURL: not a URL such as "http://influxdb.monitoring:8086"`}},
		{"InfluxDB without a URL", "influxDB: checks\nenableInflux: true\n", []string{"2: enableInflux: influxURL is missing"}},
		{"InfluxDB without a database", "influxURL: http://i\nenableInflux: true\n", []string{"2: enableInflux: influxDB is missing"}},
		{"InfluxDB with an empty database", "influxURL: http://i\nenableInflux: true\ninfluxDB: \"\"\n", []string{"2: enableInflux: influxDB is missing"}},
		{"InfluxDB without anything", "enableInflux: true\n", []string{"1: enableInflux: influxURL is missing", "1: enableInflux: influxDB is missing"}},
		{"InfluxDB with a wrong database", "influxURL: http://i\nenableInflux: true\ninfluxDB: [a]\n", []string{"3: influxDB: a list, where one value is expected"}},
		{"a URL without the name of a host", "influxURL: http://:8086\n", []string{`1: influxURL: not a URL such as "http://influxdb.monitoring:8086"`}},
		{"InfluxDB with a wrong URL", "influxURL: influx\ninfluxDB: d\nenableInflux: true\n", []string{`1: influxURL: not a URL such as "http://influxdb.monitoring:8086"`}},
		{"a list for a value", "logLevel: [info]\n", []string{"1: logLevel: a list, where one value is expected"}},
		{"a mapping for a value", "influxPassword: {hunter2: }\n", []string{"1: influxPassword: a mapping, where one value is expected"}},
		{"a value for a mapping", "promMetricsConfig: true\n", []string{`1: promMetricsConfig: not a mapping such as "suppressErrorLabel: true"`}},
		{"a list for a mapping", "stateMetadata: [a]\n", []string{`1: stateMetadata: not a mapping such as "cluster: east"`}},
		{"a list in a mapping", "stateMetadata:\n  a: 1\n  b: [c]\n", []string{"1: stateMetadata: b: a list, where one value is expected"}},
		{"a mapping for a key", "stateMetadata: {{a: b}: c}\n", []string{"1: stateMetadata: a mapping as a key"}},
		{"a list for a key", "[a]: b\n", []string{"1: ?: a list as a key"}},
		{"itself", "stateMetadata: &a {b: *a}\n", []string{"1: stateMetadata: b: a mapping, where one value is expected"}},
		{"merging", "<<: {logLevel: debug}\n", []string{"1: <<: merging is not supported; write the keys out"}},
		{"a key of a mapping", "promMetricsConfig:\n  suppressErrorLabel: 1\n  errorLabelMaxLength: x\n", []string{
			`2: promMetricsConfig.suppressErrorLabel: "1" is not true or false`, `3: promMetricsConfig.errorLabelMaxLength: "x" is not a whole number such as 100`,
		}},
		{"several", "maxErrorPodCount: x\nlogLevel: info\nmaxKHJobAge: y\nlistenAddress: z\n", []string{
			`1: maxErrorPodCount: "x" is not a whole number such as 100`, `3: maxKHJobAge: "y" is not a duration such as "15m"`,
			`4: listenAddress: "z" is not an address such as ":8080"`,
		}},
		{"a long value", "logLevel: " + strings.Repeat("a", 100) + "\n", []string{
			`1: logLevel: "` + strings.Repeat("a", 64) + `…" is not trace, debug, info, warn, error, fatal or panic`,
		}},
		{"a password that is a tag", "influxPassword: !hunter2\n", []string{"1: influxPassword: begins with a character that has a meaning of its own; put the value in quotes"}},
		{"a password that is an anchor", "influxPassword: &hunter2\n", []string{"1: influxPassword: begins with a character that has a meaning of its own; put the value in quotes"}},
		{"a list", "- logLevel\n", []string{`1: not a mapping of keys to values such as "logLevel: info"`}},
		{"a word", "# a\nlogLevel\n", []string{`2: not a mapping of keys to values such as "logLevel: info"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := config.Parse(file, []byte(tt.content), defaults())
			want := file + ":" + strings.Join(tt.want, "\n"+file+":")
			if err == nil || err.Error() != want {
				t.Errorf("error\n%v, want\n%s", err, want)
			}
			var wrong *config.KeyError
			if !errors.As(err, &wrong) {
				t.Fatalf("error is %T, want a KeyError", err)
			}
			if wrong.File != file || wrong.Line == 0 || wrong.Problem == "" {
				t.Errorf("error is %#v, want file %s, a line and a problem", wrong, file)
			}
		})
	}
}

// The line is that of the fault, or the beginning of what is not closed.
func TestParseSaysWhyAFileIsNotYAML(t *testing.T) {
	tests := []struct{ name, content, want string }{
		{"a tab", "a: 1\nb: 2\n\tc: 3\n", `3: not YAML: the indentation has a tab; use blanks`},
		{"no colon", "a: 1\nb: 2\nc 3\nd: 4\n", `3: not YAML: a key has no ":" behind it`},
		{"no closing quote", "a: 1\nb: \"x\nc: 3\n", `2: not YAML: a quotation mark is not closed`},
		{"indented too far", "a: 1\n  b: 2\nc: 3\n", `2: not YAML: a second ":" in one value, or a wrong indentation; put a text with a colon in quotes`},
		{"indented too little", "a:\n  b: 1\n c: 2\n", `3: not YAML: not a key with the indentation of the keys above`},
		{"no closing bracket", "a: 1\nb: [1, 2\nc: 3\n", `2: not YAML: a list that begins with "[" has no "]", or no comma between two items`},
		{"no closing brace", "a: 1\nb: {c: 2\nd: 3\n", `2: not YAML: a mapping that begins with "{" has no "}", or no comma between two keys`},
		{"a bracket too many", "a: 1\n}\n", `2: not YAML: not a key with the indentation of the keys above`},
		{"list and mapping", "- a\n- b\nc: d\n", `3: not YAML: not an item of the list above, because it does not begin with "-"`},
		{"in the first line", "a: `x`\n", "1: not YAML: a value begins with a tab, \"@\", \"%\" or a backquote; use blanks, or put the value in quotes"},
		{"an unknown tag", "a: 1\nb: !x!hunter2\n", `2: not YAML: a value begins with "!", which has a meaning of its own; put the value in quotes`},
		{"a password with an asterisk", "a: 1\ninfluxPassword: *hunter2\n", `2: not YAML: a value begins with "*" and refers to an anchor that does not exist; put a text in quotes`},
		{"a control character", "a: 1\nb: \x01\n", `2: not YAML: a control character, or a byte that is not UTF-8`},
		{"no UTF-8", "a: 1\nb: 2\nc: \xff\n", `3: not YAML: a control character, or a byte that is not UTF-8`},
		{"in the second document", "a: 1\n---\nb: [\n", `3: not YAML: a value is missing, or a bracket has no partner`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := config.Parse(file, []byte(tt.content), defaults())
			if want := file + ":" + tt.want; err == nil || err.Error() != want {
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
}

func TestParseLevel(t *testing.T) {
	tests := map[string]slog.Level{
		"trace": slog.LevelDebug, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "warning": slog.LevelWarn,
		"error": slog.LevelError, "fatal": slog.LevelError, "panic": slog.LevelError, "WARNING": slog.LevelWarn, "Info": slog.LevelInfo,
	}
	for text, want := range tests {
		if got, err := config.ParseLevel(text); err != nil || got != want {
			t.Errorf("%s: got %v, error %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "loud", "5"} {
		if got, err := config.ParseLevel(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}
