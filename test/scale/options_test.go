//go:build linux

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tools is a folder with a file for each program that is needed.
func tools(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"khronicle", "kubebox", "kwok", "temporal", "temporal-server", "temporal-sql-tool"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestOptionsThatFollowFromOthers(t *testing.T) {
	bin := tools(t)
	o, err := readOptions([]string{"-bin", bin, "-n", "1000", "-interval", "5m"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if want := 10*time.Minute + 15*time.Second; o.warm != want {
		t.Errorf("warm-up %s, want %s", o.warm, want)
	}
	if want := filepath.Join(bin, "khronicle"); o.khronicle != want {
		t.Errorf("program %s, want %s", o.khronicle, want)
	}
	if !filepath.IsAbs(o.out) || filepath.Base(o.out) != "sqlite-1000-5m0s.json" {
		t.Errorf("result in %s, want an absolute path to sqlite-1000-5m0s.json", o.out)
	}
}

// The stack starts PostgreSQL for a ledger that hangs, whatever Temporal stores in, and the window holds the whole hang.
func TestAHangingLedgerIsInPostgreSQL(t *testing.T) {
	bin := tools(t)
	for hang, want := range map[string]bool{"0s": false, "3m": true} {
		o, err := readOptions([]string{"-bin", bin, "-for", "1m", "-hang-ledger", hang}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if o.needsPostgres() != want || o.postgres {
			t.Errorf("hang of %s: PostgreSQL %t, want %t, and Temporal's own store SQLite", hang, o.needsPostgres(), want)
		}
		if want && o.window != 5*time.Minute {
			t.Errorf("window of %s, want the hang and a minute on each side", o.window)
		}
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	bin := tools(t)
	config := filepath.Join(bin, "khronicle") // any file
	tests := map[string][]string{
		"unknown store":                         {"-store", "mysql"},
		"no checks":                             {"-n", "0"},
		"interval below a second":               {"-interval", "10ms"},
		"negative warm-up":                      {"-warm", "-1s"},
		"negative hang":                         {"-hang-ledger", "-1s"},
		"more pages than streams":               {"-pages", "65"},
		"fewer pages than none":                 {"-pages", "-2"},
		"arguments of the other kind of server": {"-store", "postgres", "-dynamic-config", config, "-temporal-arg", "--headless"},
		"argument without a flag":               {"300"},
		"program that is not there":             {"-khronicle", filepath.Join(bin, "missing")},
		"no dynamic configuration":              {"-store", "postgres", "-dynamic-config", filepath.Join(bin, "missing.yaml")},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			if o, err := readOptions(append([]string{"-bin", bin}, args...), io.Discard); err == nil {
				t.Errorf("got %+v, want an error", o)
			}
		})
	}
	if _, err := readOptions([]string{"-bin", bin, "-store", "postgres", "-dynamic-config", config}, io.Discard); err != nil {
		t.Errorf("stock server: %v", err)
	}
}

func TestChecksAreSpreadOverTheNamespaces(t *testing.T) {
	o := options{namespaces: 3, interval: time.Minute, timeout: 50 * time.Second}
	seen := map[string]int{}
	for i := range 9 {
		c := o.check(i)
		seen[c.Namespace]++
		if c.Spec.RunInterval != "1m0s" || c.Spec.Timeout != "50s" || c.Spec.PodSpec.NodeSelector[kwokMark] == "" || len(c.Spec.PodSpec.Tolerations) == 0 {
			t.Errorf("check %d: %+v", i, c.Spec)
		}
	}
	for namespace, n := range seen {
		if n != 3 || !strings.HasPrefix(namespace, "scale-") {
			t.Errorf("%d checks in %s, want 3", n, namespace)
		}
	}
}
