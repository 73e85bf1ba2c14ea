package examples_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/internal/needs"
)

const runUUID = "7b1f0c5e-93a1-4a06-8f4c-2f1f3e1d9a55"

// TestMain lets more tests run at a time than there are processors, because they wait more than they work. It prefers the
// interpreters of the system. Those of version managers start much more slowly.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := errors.Join(flag.Set("test.parallel", "6"), os.Setenv("PATH", "/usr/bin:"+os.Getenv("PATH"))); err != nil {
		panic(err)
	}
	m.Run()
}

// script is a check without a library, and the interpreter that runs it.
type script struct {
	name    string
	command []string
}

// scripts are all such checks. The image of the shell script has BusyBox.
var scripts = []script{
	{"shell", []string{"sh", "shell/check.sh"}},
	{"shell", []string{busybox, "sh", "shell/check.sh"}},
	{"python", []string{"python3", "python/check.py"}},
}

const busybox = "busybox"

// eachScript runs a test for each script of a name, or for all. It skips a script without its interpreter.
func eachScript(t *testing.T, name string, test func(*testing.T, script)) {
	t.Helper()
	for _, s := range scripts {
		if name != "" && name != s.name {
			continue
		}
		t.Run(strings.Join(s.command, " "), func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(s.command[0]); err != nil {
				needs.Missing(t, "the interpreter is missing: %v", err)
			}
			test(t, s)
		})
	}
}

// run runs a script in the environment of a checker pod and returns its exit code. No output may hold the run UUID.
func (s script) run(t *testing.T, reportingURL string, deadline time.Time, settings map[string]string) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.command[0], s.command[1:]...)
	cmd.Env = []string{
		"PATH=" + s.path(t), "KH_REPORTING_URL=" + reportingURL, "KH_RUN_UUID=" + runUUID,
		"KH_CHECK_RUN_DEADLINE=" + strconv.FormatInt(deadline.Unix(), 10),
	}
	for name, value := range settings {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	output, err := cmd.CombinedOutput()
	t.Logf("%s", output)
	if strings.Contains(string(output), runUUID) {
		t.Error("the output shows the run UUID")
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

// path is the PATH of a script. With BusyBox, curl is the only other program.
func (s script) path(t *testing.T) string {
	t.Helper()
	if s.command[0] != busybox {
		return os.Getenv("PATH")
	}
	folder := t.TempDir()
	for name, program := range map[string]string{"curl": "curl", "awk": busybox, "date": busybox, "sleep": busybox} {
		found, err := exec.LookPath(program)
		if err := errors.Join(err, os.Symlink(found, filepath.Join(folder, name))); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// received is a report as the endpoint received it.
type received struct {
	UUID, ContentType string
	OK                bool
	Errors            []string
}

// reports is an endpoint that answers with a list of statuses, and repeats the last one. Status 0 closes the connection
// without an answer.
type reports struct {
	*httptest.Server
	mu       sync.Mutex
	statuses []int
	all      []received
}

func newReports(t *testing.T, statuses ...int) *reports {
	t.Helper()
	r := &reports{statuses: statuses}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if status := r.take(t, request); status != 0 {
			w.WriteHeader(status)
			return
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *reports) take(t *testing.T, request *http.Request) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := io.ReadAll(request.Body)
	got := received{UUID: request.Header.Get("kh-run-uuid"), ContentType: request.Header.Get("Content-Type")}
	if err := errors.Join(err, json.Unmarshal(body, &got)); err != nil || request.Method != http.MethodPost {
		t.Errorf("%s with the body %q: %v", request.Method, body, err)
	}
	r.all = append(r.all, got)
	return r.statuses[min(len(r.all), len(r.statuses))-1]
}

func (r *reports) received() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}

// report is the report that the test wants: a success if there are no errors.
func report(errors ...string) received {
	if errors == nil {
		errors = []string{}
	}
	return received{UUID: runUUID, ContentType: "application/json", OK: len(errors) == 0, Errors: errors}
}

// newTarget is a web server to check. Without an answer it hangs until the test ends.
func newTarget(t *testing.T, status int, answer string) string {
	t.Helper()
	ended, end := context.WithCancel(context.Background())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if status == 0 {
			<-ended.Done()
			return
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(end)
	return server.URL
}

// manifest returns the variables of a script's KHCheck, with another CHECK_URL.
func (s script) manifest(t *testing.T, url string) map[string]string {
	t.Helper()
	for _, r := range runs(t) {
		if r.file == s.name+"/khcheck.yaml" {
			settings := variables(r.pod.Containers[0])
			settings["CHECK_URL"] = url
			return settings
		}
	}
	t.Fatalf("no manifest of %s", s.name)
	return nil
}

func inAMinute() time.Time { return time.Now().Add(time.Minute) }

func TestScriptReportsSuccess(t *testing.T) {
	t.Parallel()
	eachScript(t, "", func(t *testing.T, s script) {
		endpoint := newReports(t, http.StatusOK)
		if code := s.run(t, endpoint.URL, inAMinute(), s.manifest(t, newTarget(t, http.StatusOK, "ok\n"))); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		if diff := cmp.Diff([]received{report()}, endpoint.received()); diff != "" {
			t.Errorf("reports (-want +got):\n%s", diff)
		}
	})
}

// everyByte has each byte that an environment variable can have. Texts are shown with U+FFFD for bytes that are not UTF-8.
func everyByte() (raw, shown string) {
	var all []byte
	for b := 1; b < 256; b++ {
		all = append(all, byte(b))
	}
	all = append(all, "\n\"quoted\" \\n %s ü € 日本 \U0001F600\ntwo lines\n\n"...)
	return string(all), string([]rune(string(all)))
}

func TestScriptReportsFailure(t *testing.T) {
	t.Parallel()
	raw, shown := everyByte()
	for _, tt := range []struct {
		name, script string
		status       int
		answer       string
		settings     map[string]string
		// want has URL in place of the URL of the target. A text that ends in … is a prefix.
		want string
	}{
		{"HTTP error", "shell", 503, "", nil, "URL: (22) The requested URL returned error: 503"},
		{"HTTP error", "python", 503, "", nil, "URL: HTTP Error 503: Service Unavailable"},
		{
			"text is missing", "shell", 200, "<p class=\"x\">\n\tnicht grün\\</p>\n",
			map[string]string{"TARGET_STRING": "grün!"},
			"URL: the answer lacks \"grün!\"; it begins: <p class=\"x\">\n\tnicht grün\\</p>",
		},
		{"any bytes", "shell", 200, "ok", map[string]string{"TARGET_STRING": raw}, "URL: the answer lacks \"" + shown + "\"; it begins: ok"},
		{"any bytes", "python", 200, "ok", map[string]string{"LIMIT_MS": raw}, "ValueError: LIMIT_MS is \"" + shown + "\", want a whole number from 1 to 60000"},
		{"wrong number", "shell", 200, "ok", map[string]string{"TIMEOUT_SECONDS": "5s"}, `TIMEOUT_SECONDS is "5s", want a number of seconds`},
		{"wrong number", "python", 200, "ok", map[string]string{"PERCENTILE": "101"}, `ValueError: PERCENTILE is "101", want a whole number from 1 to 100`},
		{"no URL", "shell", 200, "ok", map[string]string{"CHECK_URL": ""}, ": (…"},
		{"no URL", "python", 200, "ok", map[string]string{"CHECK_URL": ""}, "ValueError: unknown url type: ''"},
		{"nobody listens", "shell", 200, "ok", map[string]string{"CHECK_URL": "http://127.0.0.1:1/"}, "http://127.0.0.1:1/: (7) …"},
		{"nobody listens", "python", 200, "ok", map[string]string{"CHECK_URL": "http://127.0.0.1:1/"}, "http://127.0.0.1:1/: <urlopen error [Errno 111] Connection refused>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			eachScript(t, tt.script, func(t *testing.T, s script) {
				endpoint, target := newReports(t, http.StatusOK), newTarget(t, tt.status, tt.answer)
				settings := s.manifest(t, target)
				for name, value := range tt.settings {
					settings[name] = value
				}
				if code := s.run(t, endpoint.URL, inAMinute(), settings); code != 0 {
					t.Errorf("exit code %d, want 0: the report was delivered", code)
				}
				got := endpoint.received()
				want := strings.Replace(tt.want, "URL", target, 1)
				if prefix, more := strings.CutSuffix(want, "…"); more && len(got) == 1 && strings.HasPrefix(strings.Join(got[0].Errors, "|"), prefix) {
					return
				}
				if diff := cmp.Diff([]received{report(want)}, got); diff != "" {
					t.Errorf("reports (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Of twenty requests, 95 percent are nineteen.
func TestPythonCountsPercentile(t *testing.T) {
	t.Parallel()
	for slow, ok := range map[int32]bool{1: true, 2: false} {
		t.Run(fmt.Sprintf("%d slow", slow), func(t *testing.T) {
			eachScript(t, "python", func(t *testing.T, s script) {
				var asked atomic.Int32
				target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					if asked.Add(1) <= slow {
						time.Sleep(700 * time.Millisecond) // the limit is 500
					}
				}))
				t.Cleanup(target.Close)
				endpoint := newReports(t, http.StatusOK)
				s.run(t, endpoint.URL, inAMinute(), s.manifest(t, target.URL))
				got := endpoint.received()
				if len(got) != 1 || got[0].OK != ok || asked.Load() != 20 {
					t.Errorf("%d requests, reports %+v; want 20 requests and one report with OK %t", asked.Load(), got, ok)
				}
			})
		})
	}
}

func TestScriptDelivers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		statuses []int
		tries    int
	}{
		{"after 503", []int{503, 200}, 2},
		{"after a lost connection", []int{0, 200}, 2},
		{"after 204, which is not the report API's", []int{204, 200}, 2},
		{"when it is refused", []int{400, 200}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			eachScript(t, "", func(t *testing.T, s script) {
				endpoint := newReports(t, tt.statuses...)
				if code := s.run(t, endpoint.URL, inAMinute(), s.manifest(t, newTarget(t, http.StatusOK, "ok"))); code != 0 {
					t.Errorf("exit code %d, want 0", code)
				}
				want := slices.Repeat([]received{report()}, tt.tries)
				if diff := cmp.Diff(want, endpoint.received()); diff != "" {
					t.Errorf("reports (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A script reports in time although its target hangs. It ends in time although the endpoint of reports hangs or refuses.
func TestScriptKeepsItsDeadline(t *testing.T) {
	t.Parallel()
	const hang = 0
	for _, tt := range []struct {
		name    string
		target  int
		report  func(t *testing.T) string
		seconds int64
		code    int
	}{
		{"target hangs", hang, func(t *testing.T) string { return newReports(t, http.StatusOK).URL }, 8, 0},
		{"report is answered 503", 200, func(t *testing.T) string { return newReports(t, http.StatusServiceUnavailable).URL }, 7, 1},
		{"report hangs", 200, func(t *testing.T) string { return newTarget(t, hang, "") }, 6, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			eachScript(t, "", func(t *testing.T, s script) {
				target, endpoint := newTarget(t, tt.target, "ok"), tt.report(t)
				deadline := time.Unix(time.Now().Unix()+tt.seconds, 0)
				settings := s.manifest(t, target)
				settings["TIMEOUT_SECONDS"] = "60" // for the shell script; the deadline comes first
				code := s.run(t, endpoint, deadline, settings)
				if left := time.Until(deadline); left < 0 {
					t.Errorf("ended %s after the deadline", -left)
				}
				if code != tt.code {
					t.Errorf("exit code %d, want %d", code, tt.code)
				}
			})
		})
	}
}

// A check of something outside needs a proxy, which does not know the report API.
func TestScriptReportsWithoutItsProxy(t *testing.T) {
	t.Parallel()
	eachScript(t, "", func(t *testing.T, s script) {
		endpoint, proxy := newReports(t, http.StatusOK), newTarget(t, http.StatusOK, "ok")
		settings := s.manifest(t, "http://outside.example/")
		for _, name := range []string{"http_proxy", "HTTP_PROXY", "ALL_PROXY"} {
			settings[name] = proxy
		}
		if code := s.run(t, endpoint.URL, inAMinute(), settings); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		if diff := cmp.Diff([]received{report()}, endpoint.received()); diff != "" {
			t.Errorf("reports (-want +got):\n%s", diff)
		}
	})
}

func TestScriptNeedsTheEnvironmentOfAPod(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"KH_REPORTING_URL", "KH_RUN_UUID", "KH_CHECK_RUN_DEADLINE"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachScript(t, "", func(t *testing.T, s script) {
				endpoint := newReports(t, http.StatusOK)
				settings := s.manifest(t, newTarget(t, http.StatusOK, "ok"))
				settings[name] = ""
				if code := s.run(t, endpoint.URL, inAMinute(), settings); code == 0 {
					t.Error("exit code 0")
				}
			})
		})
	}
}
