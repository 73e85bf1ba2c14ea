package settings_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/cmd/khcheck/settings"
)

func env(variables map[string]string) *settings.Env {
	return settings.New(func(name string) string { return variables[name] })
}

func TestValues(t *testing.T) {
	e := env(map[string]string{
		"TEXT": "ok", "NUMBER": "7", "YES": "true", "NO": "0", "WAIT": "90s", "NAMES": " a, b ,,c",
	})
	got := []any{
		e.String("TEXT", "x"), e.Int("NUMBER", 1, 1, 10), e.Bool("YES", false), e.Bool("NO", true),
		e.Duration("WAIT", 0), e.List("NAMES"),
	}
	want := []any{"ok", 7, true, false, 90 * time.Second, []string{"a", "b", "c"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if problems := e.Problems(); problems != nil {
		t.Errorf("got problems %q, want none", problems)
	}
}

func TestBlankMeansFallback(t *testing.T) {
	e := env(nil)
	got := []any{
		e.String("TEXT", "x"), e.Int("NUMBER", 3, 1, 10), e.Bool("YES", true), e.Duration("WAIT", 10*time.Minute),
		e.List("NAMES"),
	}
	want := []any{"x", 3, true, 10 * time.Minute, []string(nil)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if problems := e.Problems(); problems != nil {
		t.Errorf("got problems %q, want none", problems)
	}
}

func TestProblemsSayVariableValueAndRemedy(t *testing.T) {
	e := env(map[string]string{
		"COUNT": "many", "LOW": "0", "HIGH": "101", "FLAG": "maybe", "WAIT": "10", "BACK": "-1s",
	})
	e.Int("COUNT", 1, 1, 100)
	e.Int("LOW", 1, 1, 100)
	e.Int("HIGH", 1, 1, 100)
	e.Bool("FLAG", false)
	e.Duration("WAIT", 0)
	e.Duration("BACK", 0)
	e.Reject("TEXT", "a URL")

	want := []string{
		`COUNT="many": want a whole number from 1 to 100`,
		`LOW="0": want a whole number from 1 to 100`,
		`HIGH="101": want a whole number from 1 to 100`,
		`FLAG="maybe": want true or false`,
		`WAIT="10": want a duration that is not negative, such as 90s, 10m or, for a day, 24h`,
		`BACK="-1s": want a duration that is not negative, such as 90s, 10m or, for a day, 24h`,
		`TEXT="": want a URL`,
	}
	if diff := cmp.Diff(want, e.Problems()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}
