package config_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/config"
)

// step is a change of the file and its effect.
type step struct {
	name   string
	do     func(t *testing.T, s *subject)
	url    string
	failed bool
	// log are the lines that are logged. {} stands for the path.
	log []string
}

func content(text string) func(*testing.T, *subject) {
	return func(t *testing.T, s *subject) { s.write(t, text) }
}

func TestRunReloadsAChangedFile(t *testing.T) {
	const wrong = "externalCheckReportingURL: http://c/check\nmaxKHJobAge: 15 minutes\nlogLevel: loud\n"
	run(t, load, "externalCheckReportingURL: http://a/check\n", []step{
		{name: "nothing", do: func(*testing.T, *subject) {}, url: "http://a/check"},
		{
			name: "another URL", do: content("externalCheckReportingURL: http://b/check\n"), url: "http://b/check",
			log: []string{`level=INFO msg="configuration reloaded" path={} changed=[externalCheckReportingURL]`},
		},
		{name: "touched", do: content("externalCheckReportingURL: http://b/check\n"), url: "http://b/check"},
		{
			name: "a comment", do: content("# why\nexternalCheckReportingURL: http://b/check\n"), url: "http://b/check",
			log: []string{`level=INFO msg="configuration reloaded" path={} changed=[]`},
		},
		{
			name: "wrong", do: content(wrong), url: "http://b/check", failed: true,
			log: []string{`level=ERROR msg="configuration not reloaded, the previous one stays in force" error="` +
				`{}:2: maxKHJobAge: \"15 minutes\" is not a duration such as \"15m\"; write \"15m\"\n` +
				`{}:3: logLevel: \"loud\" is not trace, debug, info, warn, error, fatal or panic"`},
		},
		{name: "still wrong", do: content(wrong), url: "http://b/check", failed: true},
		{
			name: "wrong in another way", do: content("a\n"), url: "http://b/check", failed: true,
			log: []string{`level=ERROR msg="configuration not reloaded, the previous one stays in force" error="` +
				`{}:1: not a mapping of keys to values such as \"logLevel: info\""`},
		},
		{
			name: "right again", do: content("# why\nexternalCheckReportingURL: http://b/check\n"), url: "http://b/check",
			log: []string{`level=INFO msg="configuration reloaded" path={} changed=[]`},
		},
		{
			name: "removed", do: func(t *testing.T, s *subject) {
				if err := os.Remove(s.path); err != nil {
					t.Fatal(err)
				}
			}, url: "http://b/check", failed: true,
			log: []string{`level=ERROR msg="configuration not reloaded, the previous one stays in force" error="open {}: no such file or directory"`},
		},
		{
			name: "back, with another key", do: content("maxErrorPodCount: 1\nlogLevle: debug\n"), url: "http://default/check",
			log: []string{
				`level=INFO msg="configuration reloaded" path={} changed="[externalCheckReportingURL maxErrorPodCount]"`,
				`level=WARN msg="configuration has warnings" warnings="[{}:2: logLevle: unknown; did you mean logLevel?]"`,
			},
		},
		{
			name: "the same warning is not repeated", do: content("maxErrorPodCount: 2\nlogLevle: debug\n"), url: "http://default/check",
			log: []string{`level=INFO msg="configuration reloaded" path={} changed=[maxErrorPodCount]`},
		},
		{
			name: "emptied", do: content(""), url: "http://default/check",
			log: []string{`level=INFO msg="configuration reloaded" path={} changed=[maxErrorPodCount]`},
		},
	})
}

// The default file may be missing at the start.
func TestRunReadsAFileThatIsCreatedLater(t *testing.T) {
	absent := func(t *testing.T, _ string, change ...func(*config.Options)) *subject {
		return load(t, "", append(change, func(o *config.Options) { o.Path += ".later" })...)
	}
	run(t, absent, "", []step{
		{name: "not there", do: func(*testing.T, *subject) {}, url: "http://default/check"},
		{
			name: "there", do: content("externalCheckReportingURL: http://a/check\n"), url: "http://a/check",
			log: []string{`level=INFO msg="configuration reloaded" path={} changed=[externalCheckReportingURL]`},
		},
	})
}

// Keys that are read only at the start stay as they were. The log names them until the file has the old value again.
func TestRunNamesChangedKeysThatNeedARestart(t *testing.T) {
	const start = "listenAddress: :90\nenableInflux: true\ninfluxURL: http://a\ninfluxDB: d\ninfluxPassword: hunter2\n"
	waiting := func(keys string) string {
		return `level=WARN msg="changed settings take effect at the next start" keys=` + keys
	}
	s := run(t, load, start, []step{
		{
			name: "changed", do: content("listenAddress: :91\nenableInflux: true\ninfluxURL: http://a\ninfluxDB: d\ninfluxPassword: hunter3\nmaxErrorPodCount: 1\n"),
			url: "http://default/check", log: []string{
				`level=INFO msg="configuration reloaded" path={} changed="[listenAddress influxPassword maxErrorPodCount]"`,
				waiting(`"[listenAddress influxPassword]"`),
			},
		},
		{
			name: "one back", do: content("listenAddress: :90\nenableInflux: true\ninfluxURL: http://a\ninfluxDB: d\ninfluxPassword: hunter4\n"),
			url: "http://default/check", log: []string{
				`level=INFO msg="configuration reloaded" path={} changed="[listenAddress influxPassword maxErrorPodCount]"`,
				waiting("[influxPassword]"),
			},
		},
		{
			name: "both back", do: content(start), url: "http://default/check",
			log: []string{`level=INFO msg="configuration reloaded" path={} changed=[influxPassword]`},
		},
	}, func(s *subject) {
		if s.ListenAddress() != ":90" || s.Influx().Password != "hunter2" {
			t.Errorf("address %s, Influx %#v are not those of the start", s.ListenAddress(), s.Influx())
		}
	})
	if s.Retention() != check.DefaultRetention() {
		t.Errorf("retention %+v", s.Retention())
	}
}

func TestRunKeepsOverridesInForce(t *testing.T) {
	overridden := func(t *testing.T, content string, change ...func(*config.Options)) *subject {
		return load(t, content, append(change, func(o *config.Options) {
			o.Overrides = config.Overrides{
				"externalCheckReportingURL": {"--reporting-url", func(s *config.Settings) { s.ReportingURL = "http://flag/check" }},
				"listenAddress":             {"--listen", func(s *config.Settings) { s.ListenAddress = ":99" }},
			}
		})...)
	}
	run(t, overridden, "", []step{{
		name: "changed", do: content("externalCheckReportingURL: http://a/check\nlistenAddress: :90\nlogLevel: warn\n"), url: "http://flag/check",
		log: nil, // the level is above that of the line
	}, {
		name: "changed again", do: content("externalCheckReportingURL: http://b/check\nlistenAddress: :91\n"), url: "http://flag/check",
		log: []string{`level=INFO msg="configuration reloaded" path={} changed="[listenAddress logLevel externalCheckReportingURL]" ` +
			`overridden="[listenAddress externalCheckReportingURL]"`},
	}})
}

// The file of a ConfigMap is a link to a path through a link, and the kubelet replaces the second link.
func TestRunReloadsAConfigMap(t *testing.T) {
	mounted := func(t *testing.T, text string, change ...func(*config.Options)) *subject {
		dir := t.TempDir()
		publish(t, dir, "1", text)
		if err := os.Symlink("..data/kuberhealthy.yaml", filepath.Join(dir, "kuberhealthy.yaml")); err != nil {
			t.Fatal(err)
		}
		return load(t, "", append(change, func(o *config.Options) { o.Path = filepath.Join(dir, "kuberhealthy.yaml") })...)
	}
	run(t, mounted, "externalCheckReportingURL: http://a/check\n", []step{
		{
			name: "replaced", do: func(t *testing.T, s *subject) {
				publish(t, filepath.Dir(s.path), "2", "externalCheckReportingURL: http://b/check\n")
			}, url: "http://b/check",
			log: []string{`level=INFO msg="configuration reloaded" path={} changed=[externalCheckReportingURL]`},
		},
		{
			name: "wrong", do: func(t *testing.T, s *subject) { publish(t, filepath.Dir(s.path), "3", "[]") }, url: "http://b/check", failed: true,
			log: []string{`level=ERROR msg="configuration not reloaded, the previous one stays in force" error="` +
				`{}:1: not a mapping of keys to values such as \"logLevel: info\""`},
		},
		{
			name: "right again", do: func(t *testing.T, s *subject) {
				publish(t, filepath.Dir(s.path), "4", "externalCheckReportingURL: http://c/check\n")
			}, url: "http://c/check",
			log: []string{`level=INFO msg="configuration reloaded" path={} changed=[externalCheckReportingURL]`},
		},
	})
}

// publish replaces the content as the kubelet does.
func publish(t *testing.T, dir, version, text string) {
	t.Helper()
	folder, link := filepath.Join(dir, ".."+version), filepath.Join(dir, "..data_tmp")
	if err := errors.Join(
		os.Mkdir(folder, 0o700),
		os.WriteFile(filepath.Join(folder, "kuberhealthy.yaml"), []byte(text), 0o600),
		os.Symlink(".."+version, link),
		os.Rename(link, filepath.Join(dir, "..data")),
	); err != nil {
		t.Fatal(err)
	}
	if version > "1" {
		before := string(version[0] - 1)
		if err := os.RemoveAll(filepath.Join(dir, ".."+before)); err != nil {
			t.Fatal(err)
		}
	}
}

// run takes the steps in a synctest bubble, with five seconds for each. The logger follows the level.
func run(t *testing.T, load func(*testing.T, string, ...func(*config.Options)) *subject, start string, steps []step, after ...func(*subject)) *subject {
	t.Helper()
	var s *subject
	synctest.Test(t, func(t *testing.T) {
		s = load(t, start, func(o *config.Options) {
			o.Level = &slog.LevelVar{}
			o.Logger = slog.New(leveled{o.Logger.Handler(), o.Level})
		})
		s.take()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.Run(ctx)
		success := time.Now()
		for _, step := range steps {
			began := time.Now()
			step.do(t, s)
			time.Sleep(5 * time.Second)
			synctest.Wait()
			var want []string
			for _, line := range step.log {
				want = append(want, strings.ReplaceAll(line, "{}", s.path))
			}
			if diff := cmp.Diff(want, s.take()); diff != "" {
				t.Errorf("%s: log differs (-want +got):\n%s", step.name, diff)
			}
			if got := s.ReportingURL(); got != step.url {
				t.Errorf("%s: reporting URL %s, want %s", step.name, got, step.url)
			}
			successful, at := s.gauges(t)
			if successful == 1 == step.failed {
				t.Errorf("%s: gauge %v, want failed: %t", step.name, successful, step.failed)
			}
			if reloaded := at.After(began); reloaded == step.failed && len(step.log) > 0 || !reloaded && at.Before(success.Truncate(time.Millisecond)) {
				t.Errorf("%s: success at %s, began at %s, success before at %s", step.name, at, began, success)
			}
			success = at
			for _, look := range after {
				look(s)
			}
		}
	})
	return s
}

type leveled struct {
	slog.Handler
	level slog.Leveler
}

func (l leveled) Enabled(_ context.Context, level slog.Level) bool { return level >= l.level.Level() }

// A file that changes at each look is not read until it stays the same.
func TestRunWaitsUntilTheFileIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := load(t, "externalCheckReportingURL: http://a/check\n")
		s.take()
		go s.Run(t.Context())
		for i := range 10 {
			s.write(t, strings.Repeat("#", i)+"\n[")
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}
		s.write(t, "externalCheckReportingURL: http://b/check\n")
		time.Sleep(4 * time.Second)
		synctest.Wait()
		want := []string{`level=INFO msg="configuration reloaded" path=` + s.path + ` changed=[externalCheckReportingURL]`}
		if diff := cmp.Diff(want, s.take()); diff != "" {
			t.Errorf("log differs (-want +got):\n%s", diff)
		}
		if s.ReportingURL() != "http://b/check" {
			t.Errorf("reporting URL %s", s.ReportingURL())
		}
	})
}

func TestRunReloadsEverySetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := load(t, "")
		go s.Run(t.Context())
		s.write(t, "logLevel: error\nstateMetadata: {a: b}\npromMetricsConfig: {suppressErrorLabel: true}\nmaxCompletedPodCount: 1\n"+
			"maxErrorPodCount: 2\nmaxKHJobAge: 1h\nmaxCheckPodAge: 2h\nexternalCheckReportingURL: http://a/check\n")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		want := check.Retention{MaxCompletedPods: 1, MaxErrorPods: 2, MaxJobAge: time.Hour, MaxPodAge: 2 * time.Hour}
		if diff := cmp.Diff(want, s.Retention()); diff != "" {
			t.Errorf("retention differs (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]string{"a": "b"}, s.Metadata()); diff != "" {
			t.Errorf("metadata differ (-want +got):\n%s", diff)
		}
		if s.level.Level() != slog.LevelError {
			t.Errorf("level is %v, want ERROR", s.level)
		}
		if !s.Metrics().SuppressErrorLabel {
			t.Errorf("metrics are %+v, want no error label", s.Metrics())
		}
		if s.ReportingURL() != "http://a/check" {
			t.Errorf("reporting URL is %s, want http://a/check", s.ReportingURL())
		}
	})
}

// Runs, scrapes and pages read settings during a reload.
func TestLiveIsConsistentDuringAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := load(t, "")
		ctx, cancel := context.WithCancel(t.Context())
		go s.Run(ctx)
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for ctx.Err() == nil {
					r := s.Retention()
					if r.MaxErrorPods != r.MaxCompletedPods {
						t.Errorf("half of a file: %+v", r)
					}
					s.Metadata()
					time.Sleep(time.Millisecond)
				}
			})
		}
		for i := range 10 {
			s.write(t, fmt.Sprintf("maxErrorPodCount: %d\nmaxCompletedPodCount: %d\nstateMetadata: {i: %d}\n", i, i, i))
			time.Sleep(5 * time.Second)
		}
		cancel()
		readers.Wait()
		if s.Retention().MaxErrorPods != 9 {
			t.Errorf("%+v", s.Retention())
		}
	})
}

// BenchmarkLook measures a look at an unchanged file, which happens every two seconds.
func BenchmarkLook(b *testing.B) {
	path := filepath.Join(b.TempDir(), "kuberhealthy.yaml")
	sample, err := os.ReadFile("testdata/kuberhealthy.yaml")
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, sample, 0o600); err != nil {
		b.Fatal(err)
	}
	live, err := config.Load(config.Options{Path: path, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		live.Look()
	}
}
