package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/config"
)

// journal collects log lines.
type journal struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.Write(line)
}

// take returns the lines that were logged since the last time, without their time.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var lines []string
	for line := range strings.Lines(j.lines.String()) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), " ")
		lines = append(lines, line)
	}
	j.lines.Reset()
	return lines
}

// subject is a Live with its file.
type subject struct {
	*config.Live
	*journal
	path     string
	level    *slog.LevelVar
	registry *prometheus.Registry
}

func load(t *testing.T, content string, change ...func(*config.Options)) *subject {
	t.Helper()
	s := &subject{
		path: filepath.Join(t.TempDir(), "kuberhealthy.yaml"), journal: &journal{}, level: &slog.LevelVar{}, registry: prometheus.NewRegistry(),
	}
	s.write(t, content)
	o := config.Options{Path: s.path, Defaults: defaults(), Level: s.level, Logger: slog.New(slog.NewTextHandler(s.journal, nil))}
	for _, c := range change {
		c(&o)
	}
	s.path = o.Path
	var err error
	if s.Live, err = config.Load(o); err != nil {
		t.Fatal(err)
	}
	if err := s.Register(s.registry); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *subject) write(t *testing.T, content string) {
	t.Helper()
	if err := os.WriteFile(s.path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// gauges returns the values of the metrics.
func (s *subject) gauges(t *testing.T) (successful float64, at time.Time) {
	t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		values[family.GetName()] = family.GetMetric()[0].GetGauge().GetValue()
	}
	if len(values) != 2 {
		t.Fatalf("metrics %v, want two", values)
	}
	return values["khronicle_config_last_reload_successful"], time.UnixMilli(int64(1000 * values["khronicle_config_last_reload_success_timestamp_seconds"]))
}

func TestLoadReadsEverySetting(t *testing.T) {
	s := load(t, "logLevel: debug\nmaxErrorPodCount: 1\nexternalCheckReportingURL: http://file/externalCheckStatus\nlistenAddress: :90\n"+
		"stateMetadata: {a: b}\npromMetricsConfig: {errorLabelMaxLength: 9}\nenableInflux: true\ninfluxURL: http://i\ninfluxDB: d\ninfluxPassword: hunter2\n")
	want := check.Retention{MaxCompletedPods: 4, MaxErrorPods: 1, MaxPodAge: 72 * time.Hour, MaxJobAge: 15 * time.Minute}
	if got := s.Retention(); got != want {
		t.Errorf("retention %+v, want %+v", got, want)
	}
	if s.ReportingURL() != "http://file/externalCheckStatus" || s.ListenAddress() != ":90" || s.level.Level() != slog.LevelDebug {
		t.Errorf("reporting URL %s, address %s, level %v", s.ReportingURL(), s.ListenAddress(), s.level)
	}
	if diff := cmp.Diff(map[string]string{"a": "b"}, s.Metadata()); diff != "" {
		t.Errorf("metadata differ (-want +got):\n%s", diff)
	}
	if got, want := s.Metrics(), (config.MetricsConfig{ErrorLabelMaxLength: 9}); got != want {
		t.Errorf("metrics %+v, want %+v", got, want)
	}
	if got, want := s.Influx(), (config.InfluxConfig{Enabled: true, URL: "http://i", Password: "hunter2", Database: "d"}); got != want {
		t.Errorf("influx %#v, want %#v", got, want)
	}
	s.Metadata()["a"] = "changed"
	if s.Metadata()["a"] != "b" {
		t.Error("a caller can change the metadata, want a copy")
	}
	if diff := cmp.Diff([]string{`level=INFO msg="configuration read" path=` + s.path}, s.take()); diff != "" {
		t.Errorf("log differs (-want +got):\n%s", diff)
	}
	if successful, at := s.gauges(t); successful != 1 || time.Since(at) > time.Minute {
		t.Errorf("gauges %v, %v, want 1 and now", successful, at)
	}
}

func TestLoadMissingFileIsAnErrorOnlyWhenRequired(t *testing.T) {
	missing := func(o *config.Options) { o.Path += ".missing" }
	required := func(o *config.Options) { o.Required = true }
	tests := []struct {
		name   string
		change []func(*config.Options)
		want   error
	}{
		{"none is named", []func(*config.Options){func(o *config.Options) { o.Path = "" }}, nil},
		{"the default one is missing", []func(*config.Options){missing}, nil},
		{"a named one is missing", []func(*config.Options){missing, required}, fs.ErrNotExist},
		{"a folder that is no folder", []func(*config.Options){func(o *config.Options) { o.Path += "/x" }}, syscall.ENOTDIR},
		{"it is a folder", []func(*config.Options){func(o *config.Options) { o.Path = filepath.Dir(o.Path) }}, syscall.EISDIR},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kuberhealthy.yaml")
			if err := os.WriteFile(path, []byte("maxErrorPodCount: 1\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			log := &journal{}
			o := config.Options{Path: path, Defaults: defaults(), Logger: slog.New(slog.NewTextHandler(log, nil))}
			for _, change := range tt.change {
				change(&o)
			}
			live, err := config.Load(o)
			if lines := log.take(); lines != nil {
				t.Errorf("logged %q, want nothing", lines)
			}
			if tt.want != nil {
				if err == nil || !strings.HasPrefix(err.Error(), "read configuration: ") || !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if live.Retention() != check.DefaultRetention() || live.ReportingURL() != "http://default/check" || live.Metadata() != nil {
				t.Errorf("not the defaults: %+v, %s, %v", live.Retention(), live.ReportingURL(), live.Metadata())
			}
		})
	}
}

func TestLoadRefusesAFileThatIsTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kuberhealthy.yaml")
	if err := os.WriteFile(path, bytes.Repeat([]byte("#"), 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(config.Options{Path: path, Logger: slog.New(slog.DiscardHandler)})
	if want := "read configuration: " + path + " is larger than 1 MiB"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestLoadOverridesReplaceTheFile(t *testing.T) {
	s := load(t, "maxErrorPodCount: 1\nmaxCompletedPodCount: 2\nlogLevel: debug\n", func(o *config.Options) {
		o.Overrides = config.Overrides{
			"maxErrorPodCount": {"--max-error-pods", func(s *config.Settings) { s.Retention.MaxErrorPods = 7 }},
			"logLevel":         {"--log-level", func(s *config.Settings) { s.LogLevel = slog.LevelError }},
		}
	})
	if got := s.Retention(); got.MaxErrorPods != 7 || got.MaxCompletedPods != 2 || s.level.Level() != slog.LevelError {
		t.Errorf("retention %+v, level %v", got, s.level)
	}
}

// A value is right or wrong wherever it comes from. The error names the flag or variable.
func TestLoadRefusesOverridesThatAreWrong(t *testing.T) {
	_, err := config.Load(config.Options{
		Defaults: defaults(), Logger: slog.New(slog.DiscardHandler), Overrides: config.Overrides{
			"externalCheckReportingURL": {"KH_EXTERNAL_REPORTING_URL", func(s *config.Settings) { s.ReportingURL = "kuberhealthy:80/check" }},
			"listenAddress":             {"--listen", func(s *config.Settings) { s.ListenAddress = "8080" }},
			"maxErrorPodCount":          {"--max-error-pods", func(s *config.Settings) { s.Retention.MaxErrorPods = -1 }},
			"maxCheckPodAge":            {"--max-check-pod-age", func(s *config.Settings) { s.Retention.MaxPodAge = -time.Second }},
			"maxKHJobAge":               {"--max-job-age", func(s *config.Settings) { s.Retention.MaxJobAge = 0 }}, // means for ever
		},
	})
	want := `--listen: "8080" is not an address such as ":8080"
KH_EXTERNAL_REPORTING_URL: not a URL such as "http://kuberhealthy.kuberhealthy.svc.cluster.local/externalCheckStatus"
--max-error-pods: -1 is less than 0, which already means no pods
--max-check-pod-age: -1s is less than 0`
	if err == nil || err.Error() != want {
		t.Errorf("error\n%v, want\n%s", err, want)
	}
}

func TestLoadWarnsOfOverrides(t *testing.T) {
	s := load(t, "logLevel: info\n", func(o *config.Options) {
		o.Overrides = config.Overrides{"externalCheckReportingURL": {"--reporting-url", func(s *config.Settings) { s.ReportingURL = "http://a" }}}
	})
	want := `level=WARN msg="configuration has warnings" warnings="[--reporting-url: does not end in /externalCheckStatus or /check, ` +
		`so reports are refused unless a proxy adds the path]"`
	if got := s.take(); len(got) != 2 || got[1] != want {
		t.Errorf("log is %q, want %s", got, want)
	}
}

// One log line has the warnings about flags and about the file.
func TestLoadLogsAllWarningsOnce(t *testing.T) {
	s := load(t, "enableForceMaster: true\nlogLevle: debug\nmaxKHJobAge: 1m\n", func(o *config.Options) {
		o.Ignored = []string{"--forceMaster: has no effect: there is no master"}
	})
	want := []string{
		`level=INFO msg="configuration read" path=` + s.path,
		`level=WARN msg="configuration has warnings" warnings="[--forceMaster: has no effect: there is no master ` +
			s.path + `:1: enableForceMaster: has no effect: there is no master ` +
			s.path + `:2: logLevle: unknown; did you mean logLevel? ` +
			s.path + `:3: maxKHJobAge: raised from 1m0s to 5m0s, as in Kuberhealthy]"`,
	}
	if diff := cmp.Diff(want, s.take()); diff != "" {
		t.Errorf("log differs (-want +got):\n%s", diff)
	}
}

func TestSettingsHideThePasswordInText(t *testing.T) {
	content := "enableInflux: true\ninfluxURL: http://user:hunter2@i\ninfluxDB: d\ninfluxUsername: hunter2\ninfluxPassword: hunter2\n"
	settings, _, err := config.Parse(file, []byte(content), defaults())
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(settings.Influx.Password)
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %+v %s", settings, settings, settings.Influx)
	if strings.Contains(shown, "hunter2") || !strings.Contains(string(encoded), "hunter2") {
		t.Errorf("shown: %s", shown)
	}
}

func TestRegisterFailsWhenTheMetricsExist(t *testing.T) {
	s := load(t, "")
	if err := s.Register(s.registry); err == nil || !strings.HasPrefix(err.Error(), "register metrics: ") {
		t.Errorf("error %v", err)
	}
}

func TestRunReturnsWithoutAFile(t *testing.T) {
	live, err := config.Load(config.Options{Defaults: defaults(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	live.Run(t.Context()) // returns, as there is nothing to look at
}

func BenchmarkParse(b *testing.B) {
	sample, err := os.ReadFile("testdata/kuberhealthy.yaml")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := config.Parse(file, sample, defaults()); err != nil {
			b.Fatal(err)
		}
	}
}
