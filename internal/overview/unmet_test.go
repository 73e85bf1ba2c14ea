package overview_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/khronicle/khronicle/internal/overview"
)

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestWrite_ReturnsTheErrorOfTheWriter(t *testing.T) {
	err := overview.Write(fullDisk{}, nil, now)
	if err == nil || err.Error() != "write table: no space left on device" {
		t.Errorf("error %v", err)
	}
}

// A check without a first outcome does not meet its expectation.
func TestCompare_ReportsEveryUnmetExpectation(t *testing.T) {
	rows := []overview.Row{{Name: "shop/new", State: overview.StateWaiting}, {Name: "shop/cart", State: overview.StateOK, LastRun: now}}
	expected := []overview.Expectation{
		{Name: "shop/new", State: overview.StateOK}, {Name: "shop/cart", State: overview.StateOK}, {Name: "shop/absent", State: overview.StateOK},
	}
	err := overview.Compare(expected, rows, time.Time{})
	want := "shop/new: is waiting, expected OK; errors: []\nshop/absent: no such check or job"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestParseExpectation_ShowsTheValidForms(t *testing.T) {
	_, err := overview.ParseExpectation("shop/cart=fine")
	if err == nil || !strings.HasPrefix(err.Error(), `"shop/cart=fine" is not NAMESPACE/NAME=ok, NAMESPACE/NAME=failed or `) {
		t.Errorf("error %v", err)
	}
}
