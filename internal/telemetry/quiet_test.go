package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/api/serviceerror"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"

	"github.com/khronicle/khronicle/internal/telemetry"
)

// quietLines returns what a quiet logger of level info writes, without the time.
func quietLines(log func(*slog.Logger)) []string {
	var out bytes.Buffer
	log(telemetry.Quiet(telemetry.NewLogger(&out, slog.LevelInfo, false)))
	var lines []string
	for line := range strings.Lines(out.String()) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), " ")
		lines = append(lines, line)
	}
	return lines
}

// failures logs the failures of an activity as Temporal's SDK does.
func failures(err error, attempts ...int32) func(*slog.Logger) {
	return func(logger *slog.Logger) {
		for _, attempt := range attempts {
			sdk := sdklog.With(sdklog.NewStructuredLogger(logger), "Namespace", "default")
			sdk.Error("Activity error.", "ActivityType", "CreatePod", "Attempt", attempt, "Error", err)
		}
	}
}

func TestFailingActivityIsLoggedOnceAndWhenItLasts(t *testing.T) {
	refused := errors.New("forbidden")
	tests := []struct {
		name string
		log  func(*slog.Logger)
		want []string
	}{
		{"first failure", failures(refused, 1), []string{`level=WARN msg="activity failed and is retried" Namespace=default ActivityType=CreatePod Attempt=1 Error=forbidden`}},
		{"retries", failures(refused, 2, 3, 9, 11, 12), nil},
		{"failure that lasts", failures(refused, 10), []string{`level=ERROR msg="activity still fails and is retried" Namespace=default ActivityType=CreatePod Attempt=10 Error=forbidden`}},
		{"the same failure in many runs", failures(refused, 1, 1, 1), []string{`level=WARN msg="activity failed and is retried" Namespace=default ActivityType=CreatePod Attempt=1 Error=forbidden`}},
		{"failure that no retry heals", failures(temporal.NewNonRetryableApplicationError("refused", "Refused", nil), 2), []string{`level=WARN msg="activity failed" Namespace=default ActivityType=CreatePod Attempt=2 Error="refused (type: Refused, retryable: false)"`}},
		{"cancelled activity", failures(context.Canceled, 1, 10), nil},
		{"activity of a run that has ended", failures(serviceerror.NewNotFound("workflow execution already completed"), 1), nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, quietLines(tt.log)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestHeartbeatOfAnEndedRunIsNoWarning(t *testing.T) {
	got := quietLines(func(logger *slog.Logger) {
		sdk := sdklog.NewStructuredLogger(logger)
		sdk.Warn("RecordActivityHeartbeat with error", "Error", serviceerror.NewNotFound("workflow execution already completed"))
		sdk.Warn("RecordActivityHeartbeat with error", "Error", serviceerror.NewCanceled("context canceled"))
		sdk.Warn("RecordActivityHeartbeat with error", "Error", errors.New("connection refused"))
	})
	want := []string{
		`level=INFO msg="activity stops: it was cancelled, or its run has ended" Error="workflow execution already completed"`,
		`level=INFO msg="activity stops: it was cancelled, or its run has ended" Error="context canceled"`,
		`level=WARN msg="RecordActivityHeartbeat with error" Error="connection refused"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// What happens again and again is logged again after ten minutes, with the number of repetitions.
func TestWarningsAreNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := quietLines(func(logger *slog.Logger) {
			for range 25 { // minutes
				logger.Warn("reap pod", "pod", "a", "error", errors.New("forbidden"))
				time.Sleep(time.Minute)
			}
			logger.Warn("reap pod", "pod", "b", "error", errors.New("forbidden"))
			logger.Info("schedule begins", "workflow", "w")
			logger.Info("schedule begins", "workflow", "w")
		})
		want := []string{
			`level=WARN msg="reap pod" pod=a error=forbidden`,
			`level=WARN msg="reap pod" pod=a error=forbidden repeated=9`,
			`level=WARN msg="reap pod" pod=a error=forbidden repeated=9`,
			`level=WARN msg="reap pod" pod=b error=forbidden`,
			`level=INFO msg="schedule begins" workflow=w`,
			`level=INFO msg="schedule begins" workflow=w`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
}
