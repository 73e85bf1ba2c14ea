// Package browser runs the tests of the pages in headless Chromium. The tests are the files *.test.mjs of this folder. It is
// for tests alone.
package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/khronicle/khronicle/internal/needs"
)

// atMost is how long one file of tests may take before it is ended.
const atMost = 5 * time.Minute

// Need skips a test on a machine without Node.js, Chromium or the modules of package-lock.json, or fails it as package needs says.
func Need(t testing.TB) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), script("ready.sh"), "--check").CombinedOutput(); err != nil {
		needs.Missing(t, "the browser test cannot run: %s: run make browser", strings.TrimSpace(string(out)))
	}
}

// Run runs the tests of a file, such as sound.test.mjs. They read target, in JSON, from the variable KHRONICLE_BROWSER_TARGET.
// Each failure of theirs fails t. The result is what they printed.
func Run(t testing.TB, file string, target any) string {
	t.Helper()
	return run(t, target, "--test", "--test-reporter=spec", script(file))
}

// Measure runs a program of this folder, such as paint.mjs, and reads the result, in JSON, that it prints.
func Measure(t testing.TB, file string, target, result any) {
	t.Helper()
	if err := json.Unmarshal([]byte(run(t, target, script(file))), result); err != nil {
		t.Fatalf("%s: read the result: %v", file, err)
	}
}

func run(t testing.TB, target any, args ...string) string {
	t.Helper()
	text, err := json.Marshal(target)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), atMost)
	defer stop()
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Env = append(os.Environ(), "KHRONICLE_BROWSER_TARGET="+string(text))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends the browser too
	cmd.WaitDelay = 10 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %v\n%s%s", filepath.Base(args[len(args)-1]), err, out.String(), errs.String())
	}
	return out.String()
}

// script is the path of a file of this folder.
func script(name string) string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), name)
}
