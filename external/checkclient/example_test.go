package checkclient_test

import (
	"context"
	"log"
	"net/http"
	"time"

	"github.com/khronicle/khronicle/external/checkclient"
)

// A whole check: look within the time of the run, report once.
func Example() {
	deadline, err := checkclient.GetDeadline()
	if err != nil {
		log.Fatal(err)
	}
	// Some seconds are kept for the report.
	ctx, cancel := context.WithDeadline(context.Background(), deadline.Add(-5*time.Second))
	defer cancel()

	var faults []string
	if err := look(ctx); err != nil {
		faults = append(faults, err.Error())
	}
	// A report is OK exactly when it has no errors.
	if err := checkclient.ReportFailure(faults); err != nil {
		log.Fatal(err)
	}
}

func look(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://shop.example/healthz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
