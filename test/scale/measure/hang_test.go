package measure_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/test/scale/measure"
)

func TestProblemsOfAHang(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*measure.Hang)
		want  []string
	}{
		{"none", func(*measure.Hang) {}, nil},
		{"a tick was late", func(h *measure.Hang) { h.OnTime-- }, []string{"1 of 100 ticks in the hang were not started on time"}},
		{"nothing hung", func(h *measure.Hang) { h.Hung = 11 }, []string{"11 of 100 ticks had a record in the hang: the database did not hang"}},
		{"nothing was due", func(h *measure.Hang) { h.Due, h.OnTime, h.Hung = 0, 0, 0 }, []string{"no tick was due in the hang"}},
		{"a record is missing", func(h *measure.Hang) { h.Records.Recorded-- }, []string{"119 of 120 records are there, 0 things are wrong"}},
		{"a record is wrong", func(h *measure.Hang) { h.Records.Wrong = []string{"x"} }, []string{"120 of 120 records are there, 1 things are wrong"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &measure.Hang{Due: 100, Started: 100, OnTime: 100, Hung: 3, Records: measure.Records{Due: 120, Recorded: 120}}
			tt.spoil(h)
			if diff := cmp.Diff(tt.want, h.Problems()); diff != "" {
				t.Errorf("problems -want +got:\n%s", diff)
			}
		})
	}
}

func TestWriteShowsTheHang(t *testing.T) {
	var text strings.Builder
	wrong := strings.Split(strings.Repeat("lost,", 25), ",")[:25]
	r := measure.Result{MachineIdle: 0.5, Hang: &measure.Hang{Seconds: 600, Due: 6000, Started: 5999, OnTime: 5998, Records: measure.Records{Wrong: wrong}}}
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	for want, n := range map[string]int{"for 600 s: 6000 ticks due, 5999 started, 5998 on time": 1, "lost": 20, "and 5 more": 1} {
		if got := strings.Count(text.String(), want); got != n {
			t.Errorf("shows %q %d times, want %d:\n%s", want, got, n, text.String())
		}
	}
}
