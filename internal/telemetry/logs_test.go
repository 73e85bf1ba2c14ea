package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/telemetry"
)

const runUUID = "3c8f1f6e-52b7-4d0a-9a41-7be0d2f5c913"

// secret shows its UUID only in LogValue.
type secret struct{}

func (secret) LogValue() slog.Value { return slog.StringValue("run " + runUUID) }

type nested struct{ Inner *nested }

// MarshalJSON shows what String would not.
func (n *nested) MarshalJSON() ([]byte, error) { return json.Marshal("run " + runUUID) }

// A run UUID is the credential of its run, and many people read logs.
func TestLoggerHidesRunUUIDs(t *testing.T) {
	tests := []struct {
		name string
		log  func(*slog.Logger)
	}{
		{"message", func(l *slog.Logger) { l.Info("run " + runUUID + " began") }},
		{"text", func(l *slog.Logger) { l.Info("x", "run_uuid", runUUID) }},
		{"inside a text", func(l *slog.Logger) { l.Info("x", "pod", "a "+runUUID+" b "+runUUID) }},
		{"in capitals", func(l *slog.Logger) { l.Info("x", "run_uuid", strings.ToUpper(runUUID)) }},
		{"key", func(l *slog.Logger) { l.Info("x", runUUID, 1) }},
		{"error", func(l *slog.Logger) { l.Error("x", "error", errors.New("signal "+runUUID)) }},
		{"wrapped error", func(l *slog.Logger) {
			l.Error("x", "error", fmt.Errorf("a: %w", errors.Join(errors.New("b"), errors.New(runUUID))))
		}},
		{"group", func(l *slog.Logger) { l.Info("x", slog.Group("run", slog.Group("inner", "uuid", runUUID))) }},
		{"with a group", func(l *slog.Logger) { l.WithGroup("run").Info("x", "uuid", runUUID) }},
		{"with a group of that name", func(l *slog.Logger) { l.WithGroup(runUUID).Info("x", "a", 1) }},
		{"with", func(l *slog.Logger) { l.With("uuid", runUUID).Info("x") }},
		{"UUID type", func(l *slog.Logger) { l.Info("x", "uuid", uuid.MustParse(runUUID)) }},
		{"stringer", func(l *slog.Logger) { l.Info("x", "uuid", bytes.NewBufferString(runUUID)) }},
		{"log valuer", func(l *slog.Logger) { l.Info("x", "run", secret{}) }},
		{"map", func(l *slog.Logger) { l.Info("x", "labels", map[string]string{"kuberhealthy-run-id": runUUID}) }},
		{"slice", func(l *slog.Logger) { l.Info("x", "ids", []string{runUUID}) }},
		{"struct", func(l *slog.Logger) { l.Info("x", "run", check.Attempt{UUID: runUUID}) }},
		{"pointer in a map", func(l *slog.Logger) { l.Info("x", "runs", map[string]*check.Attempt{"a": {UUID: runUUID}}) }},
		{"raw JSON", func(l *slog.Logger) { l.Info("x", "body", json.RawMessage(`{"uuid":"`+runUUID+`"}`)) }},
		{"JSON marshaler", func(l *slog.Logger) { l.Info("x", "v", &nested{}) }},
	}
	for _, tt := range tests {
		for _, asJSON := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, JSON %t", tt.name, asJSON), func(t *testing.T) {
				var out bytes.Buffer
				tt.log(telemetry.NewLogger(&out, slog.LevelDebug, asJSON))
				line := out.String()
				if strings.Contains(strings.ToLower(line), runUUID) {
					t.Errorf("the run UUID is in the log: %s", line)
				}
				if strings.Count(line, "\n") != 1 {
					t.Errorf("not one line: %q", line)
				}
				if asJSON && !json.Valid([]byte(line)) {
					t.Errorf("not JSON: %s", line)
				}
			})
		}
	}
}

// With the short hash, one finds the run's pod and its other log lines.
func TestLoggerShowsTheShortHashOfARunUUID(t *testing.T) {
	for _, text := range []string{runUUID, strings.ToUpper(runUUID)} {
		var out bytes.Buffer
		telemetry.NewLogger(&out, slog.LevelInfo, false).Info("run "+text, "run_uuid", text)
		id := check.ShortHash(runUUID)
		if want := `msg="run ` + id + `" run_uuid=` + id + "\n"; !strings.HasSuffix(out.String(), want) {
			t.Errorf("got %q, want %q at its end", out.String(), want)
		}
	}
}

func TestLoggerLeavesOtherValuesUnchanged(t *testing.T) {
	var out bytes.Buffer
	telemetry.NewLogger(&out, slog.LevelInfo, true).Info("started",
		"count", 3, "took", time.Second, "ok", true, "error", errors.New("no route"), "none", nil,
		"list", []string{"a", "b"}, "almost", runUUID[:35], slog.Group("group", "n", 1.5))
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	want := `map[almost:` + runUUID[:35] + ` count:3 error:no route group:map[n:1.5] level:INFO list:[a b] msg:started none:<nil> ok:true took:1e+09]`
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestLoggerFollowsTheLevel(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		logger := telemetry.NewLogger(&out, slog.LevelWarn, asJSON)
		logger.Info("not shown")
		if out.Len() > 0 {
			t.Errorf("a line below the level was written: %s", &out)
		}
		logger.Warn("shown")
		if !strings.Contains(out.String(), "shown") {
			t.Errorf("a line of the level was not written: %q", &out)
		}
	}
}

// lines counts the writes, each of which must be a line: two processes may share one pipe.
type lines struct {
	mu    sync.Mutex
	wrong []string
	count int
}

func (w *lines) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	if text := string(p); strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") || strings.Contains(text, runUUID) {
		w.wrong = append(w.wrong, text)
	}
	return len(p), nil
}

func TestLoggerWritesEachLineAtOnce(t *testing.T) {
	out := &lines{}
	logger := telemetry.NewLogger(out, slog.LevelInfo, true)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				logger.Info("run", "uuid", runUUID)
			}
		})
	}
	group.Wait()
	if out.count != 400 || out.wrong != nil {
		t.Errorf("%d writes, wrong are %q", out.count, out.wrong)
	}
}

type broken struct{}

var errBroken = errors.New("disk full")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestLoggerReturnsWriteErrors(t *testing.T) {
	logger := telemetry.NewLogger(broken{}, slog.LevelInfo, false)
	record := slog.NewRecord(time.Now(), slog.LevelInfo, "run "+runUUID, 0)
	if err := logger.Handler().Handle(t.Context(), record); !errors.Is(err, errBroken) {
		t.Errorf("got %v, want %v", err, errBroken)
	}
}
