package control_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/khronicle/khronicle/tools/kubebox/internal/control"
)

// serve returns a socket whose /kill answers by f.
func serve(t *testing.T, f func(context.Context, control.KillRequest) (control.HostStatus, error)) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "kb") // t.TempDir() can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	mux := http.NewServeMux()
	mux.HandleFunc("POST /kill", control.Handle(f))
	for range 2 { // a socket left by a killed process is no obstacle
		s, err := control.Serve(socket, mux)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
	}
	return socket
}

func TestCallCarriesRequestAndAnswer(t *testing.T) {
	want := control.KillRequest{Component: "etcd", Signal: "KILL", Hold: true}
	var got control.KillRequest
	socket := serve(t, func(_ context.Context, r control.KillRequest) (control.HostStatus, error) {
		got = r
		return control.HostStatus{Exposed: []int{7}}, nil
	})
	var answer control.HostStatus
	if err := control.Call(t.Context(), socket, "/kill", want, &answer); err != nil {
		t.Fatal(err)
	}
	if got != want || len(answer.Exposed) != 1 || answer.Exposed[0] != 7 {
		t.Errorf("request = %+v, answer = %+v", got, answer)
	}
}

func TestCallReturnsTheErrorOfTheHandler(t *testing.T) {
	socket := serve(t, func(context.Context, control.KillRequest) (control.HostStatus, error) {
		return control.HostStatus{}, errors.New("no such component")
	})
	err := control.Call(t.Context(), socket, "/kill", control.KillRequest{}, &control.HostStatus{})
	if err == nil || err.Error() != "no such component" {
		t.Errorf("Call() error = %v", err)
	}
}

func TestCallToNobodyFails(t *testing.T) {
	err := control.Call(t.Context(), filepath.Join(t.TempDir(), "none"), "/kill", control.None{}, &control.None{})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Call() error = %v, want one that says the socket does not exist", err)
	}
}
