package rest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/reportapi/rest"
	"github.com/khronicle/khronicle/view"
)

// hanging is a ledger that answers when the context ends.
type hanging struct{ view.Ledger }

func (hanging) Overview(context.Context, time.Time) ([]ledger.Summary, error) {
	return nil, ledger.ErrUnavailable
}

func (hanging) Runs(ctx context.Context, _ check.Ref, _ ledger.RunsQuery) ([]ledger.Record, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Readers that hang are bounded in number and in time. Each of them gets an answer, and afterwards others are served.
func TestReadersAreBoundedInNumberAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := serving(t, shop(), hanging{})
		var group sync.WaitGroup
		var mu sync.Mutex
		took := map[time.Duration]int{}
		began := time.Now()
		for range rest.MaxReaders + rest.MaxQueue + 10 {
			group.Go(func() {
				recorder := httptest.NewRecorder()
				handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/checks/shop/pay/runs", nil))
				if recorder.Code != http.StatusServiceUnavailable {
					t.Errorf("%d, want 503", recorder.Code)
				}
				mu.Lock()
				defer mu.Unlock()
				took[time.Since(began)]++
			})
			synctest.Wait()
		}
		group.Wait()
		want := map[time.Duration]int{0: 10, 2 * time.Second: rest.MaxQueue, 5 * time.Second: rest.MaxReaders}
		for after, n := range want {
			if took[after] != n {
				t.Errorf("%d readers were answered after %s, want %d; all: %v", took[after], after, n, took)
			}
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/checks", nil))
		if recorder.Code != http.StatusOK {
			t.Errorf("afterwards a list is answered %d, want 200", recorder.Code)
		}
	})
}
