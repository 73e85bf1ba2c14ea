package reportapi_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/view"
)

// hangingLedger is a ledger that does not answer before the context ends.
type hangingLedger struct{ view.Ledger }

func (hangingLedger) Runs(ctx context.Context, _ check.Ref, _ ledger.RunsQuery) ([]ledger.Record, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Readers that hang, as many as there may be and more, do not delay a report.
func TestReportsDoNotWaitForReaders(t *testing.T) {
	o := options(&fakeTemporal{}, nil)
	o.View = view.New(view.Options{Cluster: fakeStates{}, Ledger: hangingLedger{}})
	r := start(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	refused := make(chan struct{}, 1)
	for range 200 {
		group.Go(func() {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/api/v1/checks/shop/pay/runs", nil)
			if err != nil {
				t.Error(err)
				return
			}
			response, err := r.client.Do(request)
			if err != nil { // the test has ended
				return
			}
			defer response.Body.Close()
			select {
			case refused <- struct{}{}:
			default:
			}
		})
	}
	<-refused // all places are taken
	began := time.Now()
	if got := r.send(t, r.report(t, "/externalCheckStatus", runUUID, `{"OK":true,"Errors":[]}`)); got.Status != http.StatusOK {
		t.Errorf("the report is answered %d", got.Status)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("the report took %s", took)
	}
}
