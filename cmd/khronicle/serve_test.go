package main

import (
	"log/slog"
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
