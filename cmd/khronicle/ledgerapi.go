package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/external/apiclient"
	"github.com/khronicle/khronicle/internal/verb"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/reportapi/rest"
	"github.com/khronicle/khronicle/view"
)

// ledgerAPI is the REST API over a ledger, without a cluster and without a network.
type ledgerAPI struct {
	*ledger.Ledger
	routes http.Handler
}

func openLedgerAPI(ctx context.Context, dsn string) (verb.Ledger, error) {
	opened, err := ledger.OpenToRead(ctx, dsn)
	if err != nil {
		return nil, err
	}
	api, err := rest.New(rest.Options{
		View: view.New(view.Options{Cluster: noCluster{}, Ledger: opened}), Synced: func(context.Context) error { return nil },
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	e := echo.New()
	api.Register(e)
	return &ledgerAPI{opened, e}, nil
}

// Do answers a request.
func (l *ledgerAPI) Do(request *http.Request) (*http.Response, error) {
	answer := &recorded{header: http.Header{}, status: http.StatusOK}
	l.routes.ServeHTTP(answer, request)
	return &http.Response{StatusCode: answer.status, Header: answer.header, Body: io.NopCloser(&answer.body), Request: request}, request.Context().Err()
}

// Recorded returns the checks and jobs with records.
func (l *ledgerAPI) Recorded(ctx context.Context) ([]apiclient.CheckName, error) {
	summaries, err := l.Overview(ctx, time.Now())
	names := make([]apiclient.CheckName, len(summaries))
	for i, s := range summaries {
		names[i] = apiclient.CheckName{Kind: apiclient.KindCheck, Namespace: s.Ref.Namespace, Name: s.Ref.Name}
		if s.Ref.Kind == khv1.KHJob {
			names[i].Kind = apiclient.KindJob
		}
	}
	slices.SortFunc(names, func(a, b apiclient.CheckName) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	return slices.Compact(names), err // a check that was deleted and created anew is there twice
}

// recorded is an answer in memory.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorded) Header() http.Header               { return r.header }
func (r *recorded) WriteHeader(status int)            { r.status = status }
func (r *recorded) Write(content []byte) (int, error) { return r.body.Write(content) }

// noCluster is a cluster without objects.
type noCluster struct{}

func (noCluster) Checks() []*khv1.KuberhealthyCheck  { return nil }
func (noCluster) Jobs() []*khv1.KuberhealthyJob      { return nil }
func (noCluster) States() []*khv1.KuberhealthyState  { return nil }
func (noCluster) IsJob(*khv1.KuberhealthyState) bool { return false }
