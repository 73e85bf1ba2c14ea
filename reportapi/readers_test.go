package reportapi_test

import (
	"bufio"
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

// A stream lives longer than the time limits of other requests, and ends when the server stops.
func TestAStreamOutlivesTheLimitsOfRequests(t *testing.T) {
	t.Parallel()
	r := start(t, options(&fakeTemporal{}, nil))
	r.client.Timeout = 0
	response, err := r.client.Do(r.request(t, http.MethodGet, "/api/v1/changes", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines, began := bufio.NewScanner(response.Body), time.Now()
	for lines.Scan() && lines.Text() != ": still there" {
	}
	if took := time.Since(began); lines.Err() != nil || took < 11*time.Second { // a request may be read for 10s
		t.Fatalf("the first comment came after %s, error %v", took, lines.Err())
	}
	r.stop()
	for lines.Scan() {
	}
	if err := <-r.ended; err != nil || lines.Err() != nil {
		t.Errorf("the server ended with %v, the stream with %v", err, lines.Err())
	}
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
