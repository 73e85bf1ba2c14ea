package kubeapi

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestNodeReadyBelievesOnlyTheCurrentKubelet(t *testing.T) {
	started := time.Date(2026, 1, 1, 12, 0, 10, 900e6, time.UTC)
	tests := []struct {
		name, body string
		ok         bool
	}{
		{"reported after the start", `{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"2026-01-01T12:00:11Z"}]}}`, true},
		{"reported within the second of the start", `{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"2026-01-01T12:00:10Z"}]}}`, true},
		{"reported by the kubelet before", `{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"2026-01-01T12:00:09Z"}]}}`, false},
		{"not ready", `{"status":{"conditions":[{"type":"Ready","status":"False","lastHeartbeatTime":"2026-01-01T12:00:11Z"}]}}`, false},
		{"other conditions only", `{"status":{"conditions":[{"type":"DiskPressure","status":"True","lastHeartbeatTime":"2026-01-01T12:00:11Z"}]}}`, false},
		{"no conditions", `{}`, false},
		{"no JSON", ``, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := nodeReady([]byte(tt.body), started); (err == nil) != tt.ok {
				t.Errorf("nodeReady() = %v, want ok %v", err, tt.ok)
			}
		})
	}
}

func TestUntilReturnsTheLastErrorAndTheCause(t *testing.T) {
	cause, last := errors.New("cause"), errors.New("last")
	ctx, cancel := context.WithCancelCause(t.Context())
	calls := 0
	err := Until(ctx, time.Millisecond, func(context.Context) error {
		if calls++; calls == 3 {
			defer cancel(cause)
		}
		return last
	})
	if !errors.Is(err, cause) || !errors.Is(err, last) {
		t.Errorf("Until() = %v, want %v and %v", err, cause, last)
	}
}

func TestUntilStopsAtSuccess(t *testing.T) {
	calls := 0
	err := Until(t.Context(), time.Millisecond, func(context.Context) error {
		if calls++; calls < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || calls != 3 {
		t.Errorf("Until() = %v after %d calls, want nil after 3", err, calls)
	}
}
