package main

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	settings "github.com/khronicle/khronicle/internal/config"
)

// configured reads a command line with all flags that settings may come from.
func configured(t *testing.T, args ...string) (live *settings.Live, level *slog.LevelVar, log string, err error) {
	t.Helper()
	c, flags := defaultConfig(), pflag.NewFlagSet("dev", pflag.ContinueOnError)
	c.addNameFlags(flags)
	c.addReportFlags(flags)
	c.addRunFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	level = &slog.LevelVar{}
	live, err = c.loadSettings(level, slog.New(slog.NewTextHandler(&lines, nil)))
	return live, level, lines.String(), err
}

func settingsFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kuberhealthy.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A flag goes before the environment, the environment before the file, the file before the default.
func TestPrecedence(t *testing.T) {
	const file = "listenAddress: :90\nlogLevel: warning\nexternalCheckReportingURL: http://file/\n" +
		"maxKHJobAge: 1h\nmaxCheckPodAge: 2h\nmaxCompletedPodCount: 1\nmaxErrorPodCount: 2\n"
	url := map[string]string{"POD_NAMESPACE": "health", "KH_EXTERNAL_REPORTING_URL": "http://environment/"}
	tests := []struct {
		name string
		env  map[string]string
		file string
		args []string
		of   func(*settings.Live, *slog.LevelVar) any
		want any
	}{
		{"URL by default, as in Kuberhealthy", nil, "", nil, reportingURL, "http://kuberhealthy.kuberhealthy.svc.cluster.local/externalCheckStatus"},
		{"URL in another namespace", map[string]string{"POD_NAMESPACE": "health"}, "", nil, reportingURL, "http://kuberhealthy.health.svc.cluster.local/externalCheckStatus"},
		{"URL in the namespace of the flag", url, "", []string{"--namespace", "mine", "--reporting-url="}, reportingURL, "http://kuberhealthy.mine.svc.cluster.local/externalCheckStatus"},
		{"URL of the file", map[string]string{"POD_NAMESPACE": "health"}, file, nil, reportingURL, "http://file/"},
		{"URL of the environment", url, file, nil, reportingURL, "http://environment/"},
		{"URL of the flag", url, file, []string{"--reporting-url", "http://flag/"}, reportingURL, "http://flag/"},
		{"address by default", nil, "", nil, address, ":8080"},
		{"address of the file", nil, file, nil, address, ":90"},
		{"address of the flag", nil, file, []string{"--listen", ":91"}, address, ":91"},
		{"address of the flag as by default", nil, file, []string{"--listen", ":8080"}, address, ":8080"},
		{"level by default", nil, "", nil, logLevel, slog.LevelInfo},
		{"level of the file", nil, file, nil, logLevel, slog.LevelWarn},
		{"level of the flag", nil, file, []string{"--log-level", "fatal"}, logLevel, slog.LevelError},
		{"level of the flag as by default", nil, file, []string{"--log-level", "info"}, logLevel, slog.LevelInfo},
		{"debug", nil, file, []string{"-d"}, logLevel, slog.LevelDebug},
		{"debug goes before the level", nil, file, []string{"--log-level", "error", "--debug"}, logLevel, slog.LevelDebug},
		{"age of jobs by default", nil, "", nil, jobAge, 15 * time.Minute},
		{"age of jobs of the file", nil, file, nil, jobAge, time.Hour},
		{"age of jobs of the flag", nil, file, []string{"--max-job-age", "1m"}, jobAge, time.Minute},
		{"age of pods by default", nil, "", nil, podAge, 72 * time.Hour},
		{"age of pods of the file", nil, file, nil, podAge, 2 * time.Hour},
		{"age of pods of the flag", nil, file, []string{"--max-check-pod-age", "0"}, podAge, time.Duration(0)},
		{"completed pods by default", nil, "", nil, completedPods, 4},
		{"completed pods of the file", nil, file, nil, completedPods, 1},
		{"completed pods of the flag", nil, file, []string{"--max-completed-pods", "0"}, completedPods, 0},
		{"error pods by default", nil, "", nil, errorPods, 4},
		{"error pods of the file", nil, file, nil, errorPods, 2},
		{"error pods of the flag", nil, file, []string{"--max-error-pods", "9"}, errorPods, 9},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			isolate(t)
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			live, level, _, err := configured(t, append(tt.args, "-c", settingsFile(t, tt.file))...)
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.of(live, level); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func reportingURL(l *settings.Live, _ *slog.LevelVar) any  { return l.ReportingURL() }
func address(l *settings.Live, _ *slog.LevelVar) any       { return l.ListenAddress() }
func logLevel(_ *settings.Live, level *slog.LevelVar) any  { return level.Level() }
func jobAge(l *settings.Live, _ *slog.LevelVar) any        { return l.Retention().MaxJobAge }
func podAge(l *settings.Live, _ *slog.LevelVar) any        { return l.Retention().MaxPodAge }
func completedPods(l *settings.Live, _ *slog.LevelVar) any { return l.Retention().MaxCompletedPods }
func errorPods(l *settings.Live, _ *slog.LevelVar) any     { return l.Retention().MaxErrorPods }

func TestWhatIsLoggedOfSettings(t *testing.T) {
	read := `msg="configuration read" path=`
	fault := `level=WARN msg="the default reap interval is used" variable=CHECK_REAPER_RUN_INTERVAL problem="\"often\" is not a duration of more than 0 such as \"30s\""`
	often := map[string]string{"CHECK_REAPER_RUN_INTERVAL": "often"}
	tests := []struct {
		name string
		env  map[string]string
		file string
		args []string
		want []string
	}{
		{"nothing to say", nil, "", nil, []string{read}},
		{
			"Kuberhealthy's flag for a master, and the key", nil, "enableForceMaster: true\n",
			[]string{"--forceMaster"},
			[]string{read, `warnings="[--forceMaster: has no effect: there is no master /`},
		},
		{"reap interval", often, "", nil, []string{read, fault}},
		{"reap interval that is 0", map[string]string{"CHECK_REAPER_RUN_INTERVAL": "0s"}, "", nil, []string{read, `"\"0s\" is not`}},
		{"reap interval that does not matter", often, "", []string{"--reap-interval", "1m"}, []string{read}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			isolate(t)
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			_, _, log, err := configured(t, append(tt.args, "-c", settingsFile(t, tt.file))...)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(log), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("%d lines, want %d:\n%s", len(lines), len(tt.want), log)
			}
			for i, want := range tt.want {
				if !strings.Contains(lines[i], want) {
					t.Errorf("line %d lacks %s:\n%s", i, want, lines[i])
				}
			}
		})
	}
}

func TestWrongSettingsFileIsRefused(t *testing.T) {
	isolate(t)
	path := settingsFile(t, "logLevel: loud\nmaxKHJobAge: 15 minutes\n")
	want := "read configuration: " + path + `:1: logLevel: "loud" is not trace, debug, info, warn, error, fatal or panic` + "\n" +
		path + `:2: maxKHJobAge: "15 minutes" is not a duration such as "15m"; write "15m"`
	for _, role := range []string{"worker", "starter", "reportapi"} {
		if _, err := execute(t, role, "-c", path); err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", role, err, want)
		}
	}
	if _, err := execute(t, "worker", "--config", path+".missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want that the named file is missing", err)
	}
}

// Whatever the role, a file that changes is put in force and its metrics tell so.
func TestRolesReloadTheirSettings(t *testing.T) {
	for name, flag := range map[string]string{"worker": "--operations-listen", "starter": "--operations-listen", "reportapi": "--listen"} {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			address, path := free(t), settingsFile(t, "maxKHJobAge: 1h\n")
			stop := launch(t, name, "--kubeconfig", shopKubeconfig(t), flag, address, "--log-level", "error", "-c", path)
			awaitMetric(t, address, "khronicle_config_last_reload_successful 1")
			if err := os.WriteFile(path, []byte("maxKHJobAge: long\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			awaitMetric(t, address, "khronicle_config_last_reload_successful 0")
			if err := os.WriteFile(path, []byte("maxKHJobAge: 2h\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			awaitMetric(t, address, "khronicle_config_last_reload_successful 1")
			if err := stop(); err != nil {
				t.Errorf("ended with %v, want an orderly end", err)
			}
		})
	}
}

func awaitMetric(t *testing.T, address, line string) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for !strings.Contains(get(t, "http://"+address+"/metrics", http.StatusOK), "\n"+line+"\n") {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("no %s", line)
		}
	}
}

func TestAddressOfTheSettingsFile(t *testing.T) {
	isolate(t)
	address := free(t)
	stop := launch(t, "reportapi", "--kubeconfig", shopKubeconfig(t), "--log-level", "error",
		"-c", settingsFile(t, "listenAddress: "+address+"\n"))
	get(t, "http://"+address+"/healthz", http.StatusOK)
	if err := stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
}
