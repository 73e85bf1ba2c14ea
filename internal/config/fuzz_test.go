package config_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/internal/config"
)

// Any content gives either settings within their limits or an error with a line, and the same each time.
func FuzzParse(f *testing.F) {
	sample, err := os.ReadFile("testdata/kuberhealthy.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	for _, seed := range []string{
		"", "---\n", "a: &a [*a]\n", "? [a]\n: b\n", "<<: *a\n", "maxKHJobAge: 1s\nmaxCheckPodAge: !!str 1s\n", "stateMetadata: {a: {b: c}}\n",
		"promMetricsConfig: &p {errorLabelMaxLength: 0x10}\nx: *p\n", "%YAML 1.1\n---\nlogLevel: |\n  info\n", "\"\\u2028\": 1\n", "a: *b\n",
		"enableInflux: on\ninfluxURL: http://[::1]:8086\ninfluxDB: d\n", "\xff\xfea\x00:\x00 \x001\x00", "---\n--- a\n...\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		got, warnings, err := config.Parse("x.yaml", content, config.Defaults())
		again, warningsAgain, errAgain := config.Parse("x.yaml", content, config.Defaults())
		if diff := cmp.Diff(got, again) + cmp.Diff(warnings, warningsAgain) + cmp.Diff(fmt.Sprint(err), fmt.Sprint(errAgain)); diff != "" {
			t.Errorf("not the same the second time:\n%s", diff)
		}
		if err != nil {
			var wrong *config.KeyError
			if !errors.As(err, &wrong) || wrong.Line < 1 || !strings.HasPrefix(err.Error(), fmt.Sprintf("x.yaml:%d: ", wrong.Line)) {
				t.Errorf("the error does not say where: %v", err)
			}
			return
		}
		r := got.Retention
		if r.MaxJobAge < 5*time.Minute || r.MaxPodAge < 30*time.Second {
			t.Errorf("ages of %+v, want 5m and 30s or more", r)
		}
		if r.MaxCompletedPods < 0 || r.MaxErrorPods < 0 {
			t.Errorf("counts of %+v, want 0 or more", r)
		}
	})
}

// However a password is written, no message shows it.
func FuzzNoMessageShowsThePassword(f *testing.F) {
	const secret = "hunter2hunter2"
	for _, seed := range [][2]string{
		{"", ""},
		{"*", ""},
		{"&", ""},
		{"!", ""},
		{"\"", ""},
		{"'", "'x"},
		{"%", ""},
		{"@", ""},
		{"", ": x"},
		{"{", ""},
		{"[", "]"},
		{"|", ""},
		{"", "#x"},
		{"!x!", ""},
		{"!!int ", ""},
		{"!!binary ", ""},
		{"? ", ""},
		{"- ", ""},
		{"\"\\q", "\""},
		{"<<: ", ""},
		{"!<", "> x"},
		{"{<<: *", "}"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		if strings.ContainsAny(before+after, "\n\r\u0085\u2028\u2029") {
			t.Skip("more than one line")
		}
		content := "influxPassword: " + before + secret + after + "\nmaxErrorPodCount: x\n"
		if _, warnings, err := config.Parse("x.yaml", []byte(content), config.Defaults()); strings.Contains(fmt.Sprint(warnings, err), secret) {
			t.Errorf("%q gives warnings %q and error %v, which show the password", content, warnings, err)
		}
	})
}
