package reportapi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/khronicle/khronicle/reportapi"
)

// answered is what the routes answer to a report with this body, without a network, so that it may run in a bubble.
func answered(t *testing.T, temporal reportapi.Signaler, body io.Reader) *httptest.ResponseRecorder {
	t.Helper()
	server, err := reportapi.New(options(temporal, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/externalCheckStatus", body)
	request.Header.Set("kh-run-uuid", runUUID)
	recorder := httptest.NewRecorder()
	server.Routes().ServeHTTP(recorder, request)
	return recorder
}

func TestTemporalThatNeverAnswersIs503WithinSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		temporal := &fakeTemporal{answer: func(ctx context.Context, _ signal) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		began := time.Now()
		got := answered(t, temporal, strings.NewReader(`{"OK":true}`))
		if got.Code != http.StatusServiceUnavailable || got.Body.Len() > 0 {
			t.Errorf("%d %q, want 503 and no body", got.Code, got.Body)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("took %s, want 2s", took)
		}
	})
}

// stuck is a body of which a part comes and the rest does not, until the server's time limit for it is over. Package
// httpserver has that limit.
type stuck struct{ part io.Reader }

func (s stuck) Read(p []byte) (int, error) {
	n, err := s.part.Read(p)
	if errors.Is(err, io.EOF) {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// A client counts 400 as delivered, so that a slow one is told to try again.
func TestSlowBodyIsNoReport(t *testing.T) {
	temporal := &fakeTemporal{}
	got := answered(t, temporal, stuck{strings.NewReader(`{"OK":true}`)})
	if got.Code != http.StatusServiceUnavailable || got.Body.Len() > 0 {
		t.Errorf("%d %q, want 503 and no body", got.Code, got.Body)
	}
	if signals := temporal.signals(); signals != nil {
		t.Errorf("it was passed on: %v", signals)
	}
}
