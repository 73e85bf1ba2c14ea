package main

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// What is unknown is not healthy, unless someone says otherwise.
func TestUnknownIsHealthyOnRequestAlone(t *testing.T) {
	for _, want := range []bool{false, true} {
		isolate(t)
		c, flags := defaultConfig(), pflag.NewFlagSet("reportapi", pflag.ContinueOnError)
		c.addNameFlags(flags)
		c.addReportFlags(flags)
		args := []string{}
		if want {
			args = append(args, "--unknown-is-healthy")
		}
		if err := flags.Parse(args); err != nil {
			t.Fatal(err)
		}
		live, err := c.loadSettings(&slog.LevelVar{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		p := &process{config: c, live: live}
		if got := p.presentation().IgnoreUnknown; got != want {
			t.Errorf("%q: unknown is shown as healthy: %t, want %t", args, got, want)
		}
	}
}

// A role has no profiles unless somebody asks for them.
func TestEachRoleServesProfilesOnRequestAlone(t *testing.T) {
	for name, flag := range map[string]string{"worker": "--operations-listen", "starter": "--operations-listen", "reportapi": "--listen"} {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			address, profiles := free(t), free(t)
			args := []string{name, "--kubeconfig", shopKubeconfig(t), flag, address, "--log-level", "error"}
			stop := launch(t, append(args, "--pprof-address", profiles)...)
			if list := get(t, "http://"+profiles+"/debug/pprof/", http.StatusOK); !strings.Contains(list, "heap") {
				t.Errorf("profiles do not have the heap:\n%s", list)
			}
			get(t, "http://"+address+"/debug/pprof/", http.StatusNotFound)
			if err := stop(); err != nil {
				t.Errorf("ended with %v, want an orderly end", err)
			}
		})
	}
}
