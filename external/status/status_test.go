package status_test

import (
	"encoding/json"
	"testing"

	"github.com/khronicle/khronicle/external/status"
)

func TestReportOnTheWire(t *testing.T) {
	tests := []struct {
		name   string
		errors []string
		want   string
	}{
		{"nil", nil, `{"Errors":[],"OK":true}`},
		{"no errors", []string{}, `{"Errors":[],"OK":true}`},
		{"errors", []string{"a", "b"}, `{"Errors":["a","b"],"OK":false}`},
		{"an empty error is an error", []string{""}, `{"Errors":[""],"OK":false}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := json.Marshal(status.NewReport(tt.errors))
			if err != nil || string(got) != tt.want {
				t.Errorf("got %s %v, want %s", got, err, tt.want)
			}
		})
	}
}
