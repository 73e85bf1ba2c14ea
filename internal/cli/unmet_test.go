package cli_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/khronicle/khronicle/internal/cli"
)

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestWriteReturnsTheErrorOfTheWriter(t *testing.T) {
	err := cli.WriteRows(fullDisk{}, nil, now)
	if err == nil || err.Error() != "write table: no space left on device" {
		t.Errorf("error %v", err)
	}
}

// A check without a first outcome does not meet its expectation.
func TestCompareReportsEveryUnmetExpectation(t *testing.T) {
	rows := []cli.Row{{Name: "shop/new", State: cli.StateWaiting}, {Name: "shop/cart", State: cli.StateOK, LastRun: now}}
	expected := []cli.Expectation{
		{Name: "shop/new", State: cli.StateOK}, {Name: "shop/cart", State: cli.StateOK}, {Name: "shop/absent", State: cli.StateOK},
	}
	err := cli.Compare(expected, rows, time.Time{})
	want := "shop/new: is waiting, expected OK; errors: []\nshop/absent: no such check or job"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestParseExpectationShowsTheValidForms(t *testing.T) {
	_, err := cli.ParseExpectation("shop/cart=fine")
	if err == nil || !strings.HasPrefix(err.Error(), `"shop/cart=fine" is not NAMESPACE/NAME=ok, NAMESPACE/NAME=failed or `) {
		t.Errorf("error %v", err)
	}
}
