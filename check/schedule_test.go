package check_test

import (
	"errors"
	"fmt"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the tests, whatever the machine has

	"github.com/google/go-cmp/cmp"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

func parseSchedule(t *testing.T, spec check.ScheduleSpec) check.Schedule {
	t.Helper()
	schedule, err := check.ParseSchedule(spec)
	if err != nil {
		t.Fatalf("parse %+v: %v", spec, err)
	}
	return schedule
}

// at reads a time such as 2026-03-29T01:59:59Z.
func at(t testing.TB, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestParseScheduleAsTemporalReadsIt(t *testing.T) {
	tests := []struct {
		name string
		spec check.ScheduleSpec
		want string
	}{
		{"nothing is the default interval", check.ScheduleSpec{}, "@every 10m0s"},
		{"interval", check.ScheduleSpec{RunInterval: "2m"}, "@every 2m0s"},
		{"interval with fractions", check.ScheduleSpec{RunInterval: "90.9s"}, "@every 1m30s"},
		{"shortest interval", check.ScheduleSpec{RunInterval: "1s"}, "@every 1s"},
		{"just over the shortest", check.ScheduleSpec{RunInterval: "1999ms"}, "@every 1s"},
		{"long interval", check.ScheduleSpec{RunInterval: "8760h"}, "@every 8760h0m0s"},
		{"cron is UTC", check.ScheduleSpec{Schedule: "*/20 * * * *"}, "CRON_TZ=UTC 0,20,40 * * * *"},
		{"hours in winter and in summer", check.ScheduleSpec{Schedule: "0 9 * * 1-5", TimeZone: "Europe/Berlin"}, "CRON_TZ=UTC 0 7-8 * * 1-5"},
		{"a zone that never changes its clocks", check.ScheduleSpec{Schedule: "0 9 * * 1", TimeZone: "Asia/Tokyo"}, "CRON_TZ=UTC 0 0 * * 1"},
		{"a weekday that begins on the day before", check.ScheduleSpec{Schedule: "0 0,12 * * 1", TimeZone: "Asia/Tokyo"}, "CRON_TZ=UTC 0 3,15 * * 0-1"},
		{"a weekday that ends on the day after", check.ScheduleSpec{Schedule: "30 20 * * 6", TimeZone: "America/New_York"}, "CRON_TZ=UTC 30 0-1 * * 0"},
		{"the first of a month begins on the day before", check.ScheduleSpec{Schedule: "0 8 1 3 *", TimeZone: "Asia/Tokyo"}, "CRON_TZ=UTC 0 23 28-31 2-3 *"},
		{"the last of a month ends on the day after", check.ScheduleSpec{Schedule: "0 23 31 12 *", TimeZone: "America/Lima"}, "CRON_TZ=UTC 0 4 1 1,12 *"},
		{"every hour needs no zone", check.ScheduleSpec{Schedule: "30 * * * *", TimeZone: "Europe/Berlin"}, "CRON_TZ=UTC 30 * * * *"},
		{"half an hour", check.ScheduleSpec{Schedule: "0 3 * * *", TimeZone: "Australia/Lord_Howe"}, "CRON_TZ=UTC 0,30 16 * * *"},
		{"a date or a weekday", check.ScheduleSpec{Schedule: "0 0 1-31 * 0-6"}, "CRON_TZ=UTC 0 0 1-31 * 0-6"},
		{"cron goes before the interval", check.ScheduleSpec{Schedule: "@hourly", RunInterval: "nonsense"}, "CRON_TZ=UTC 0 * * * *"},
		{"an expression that is an interval", check.ScheduleSpec{Schedule: "@every 90s", TimeZone: "Europe/Berlin"}, "@every 1m30s"},
		{"leap day", check.ScheduleSpec{Schedule: "0 0 29 2 *"}, "CRON_TZ=UTC 0 0 29 2 *"},
		{"Sunday is 7", check.ScheduleSpec{Schedule: "0 0 * * 7"}, "CRON_TZ=UTC 0 0 * * 0"},
		{"Friday to Sunday", check.ScheduleSpec{Schedule: "0 0 * * 5-7"}, "CRON_TZ=UTC 0 0 * * 0,5-6"},
		{"Friday to Sunday by name", check.ScheduleSpec{Schedule: "0 0 * * fri-Sun"}, "CRON_TZ=UTC 0 0 * * 0,5-6"},
		{"Monday and Sunday", check.ScheduleSpec{Schedule: "0 0 * * 1,7"}, "CRON_TZ=UTC 0 0 * * 0-1"},
		{"each second day up to Sunday", check.ScheduleSpec{Schedule: "0 0 * * 3-7/2"}, "CRON_TZ=UTC 0 0 * * 0,3,5"},
		{"from Sunday on", check.ScheduleSpec{Schedule: "0 0 * * 0-7"}, "CRON_TZ=UTC 0 0 * * *"},
		{"months by name", check.ScheduleSpec{Schedule: "0 0 1 jan,OCT-dec *"}, "CRON_TZ=UTC 0 0 1 1,10-12 *"},
		{"a step from a value on", check.ScheduleSpec{Schedule: "50/5 * * * 5/1"}, "CRON_TZ=UTC 50,55 * * * 5-6"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parseSchedule(t, tt.spec).CronSpec(now); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseScheduleErrorsNameTheField(t *testing.T) {
	const (
		wantInterval = `a duration of at least 1s, such as "10m"`
		wantCron     = `a cron expression of five fields, such as "*/5 * * * *": `
		wantZone     = `an IANA time zone, such as "Europe/Berlin"`
	)
	tests := []struct {
		name string
		spec check.ScheduleSpec
		want check.FieldError
	}{
		{"no duration", check.ScheduleSpec{RunInterval: "abc"}, check.FieldError{Field: "spec.runInterval", Value: "abc", Want: wantInterval}},
		{"no unit", check.ScheduleSpec{RunInterval: "10"}, check.FieldError{Field: "spec.runInterval", Value: "10", Want: wantInterval}},
		{"days", check.ScheduleSpec{RunInterval: "1d"}, check.FieldError{Field: "spec.runInterval", Value: "1d", Want: wantInterval + `; write "24h"`}},
		{"zero", check.ScheduleSpec{RunInterval: "0s"}, check.FieldError{Field: "spec.runInterval", Value: "0s", Want: wantInterval}},
		{"negative", check.ScheduleSpec{RunInterval: "-1m"}, check.FieldError{Field: "spec.runInterval", Value: "-1m", Want: wantInterval}},
		{"under a second", check.ScheduleSpec{RunInterval: "999ms"}, check.FieldError{Field: "spec.runInterval", Value: "999ms", Want: wantInterval}},
		{"overflow", check.ScheduleSpec{RunInterval: "99999999h"}, check.FieldError{Field: "spec.runInterval", Value: "99999999h", Want: wantInterval}},
		{"no cron expression", check.ScheduleSpec{Schedule: "often"}, check.FieldError{Field: "spec.schedule", Value: "often", Want: wantCron + "want 5 fields, not 1"}},
		{"blank", check.ScheduleSpec{Schedule: " "}, check.FieldError{Field: "spec.schedule", Value: " ", Want: wantCron + "want 5 fields, not 0"}},
		{"six fields", check.ScheduleSpec{Schedule: "0 0 * * * *"}, check.FieldError{Field: "spec.schedule", Value: "0 0 * * * *", Want: wantCron + "want 5 fields, not 6"}},
		{"minute 60", check.ScheduleSpec{Schedule: "60 * * * *"}, check.FieldError{Field: "spec.schedule", Value: "60 * * * *", Want: wantCron + `minute "60" is not from 0 to 59`}},
		{"hour 24", check.ScheduleSpec{Schedule: "0 0-24 * * *"}, check.FieldError{Field: "spec.schedule", Value: "0 0-24 * * *", Want: wantCron + `hour "24" is not from 0 to 23`}},
		{"day 0", check.ScheduleSpec{Schedule: "0 0 0 * *"}, check.FieldError{Field: "spec.schedule", Value: "0 0 0 * *", Want: wantCron + `day of the month "0" is not from 1 to 31`}},
		{"month 13", check.ScheduleSpec{Schedule: "0 0 1 */2,13 *"}, check.FieldError{Field: "spec.schedule", Value: "0 0 1 */2,13 *", Want: wantCron + `month "13" is not from 1 to 12, or JAN to DEC`}},
		{"weekday 8", check.ScheduleSpec{Schedule: "0 0 * * 1-8"}, check.FieldError{Field: "spec.schedule", Value: "0 0 * * 1-8", Want: wantCron + `day of the week "8" is not from 0 to 7, or SUN to SAT`}},
		{"a word that is no day", check.ScheduleSpec{Schedule: "0 0 * * monday"}, check.FieldError{Field: "spec.schedule", Value: "0 0 * * monday", Want: wantCron + `day of the week "monday" is not from 0 to 7, or SUN to SAT`}},
		{"last day", check.ScheduleSpec{Schedule: "0 0 L * *"}, check.FieldError{Field: "spec.schedule", Value: "0 0 L * *", Want: wantCron + `day of the month "L" is not from 1 to 31`}},
		{"negative", check.ScheduleSpec{Schedule: "-5 * * * *"}, check.FieldError{Field: "spec.schedule", Value: "-5 * * * *", Want: wantCron + `minute "" is not from 0 to 59`}},
		{"signed", check.ScheduleSpec{Schedule: "+5 * * * *"}, check.FieldError{Field: "spec.schedule", Value: "+5 * * * *", Want: wantCron + `minute "+5" is not from 0 to 59`}},
		{"backwards", check.ScheduleSpec{Schedule: "0 22-2 * * *"}, check.FieldError{Field: "spec.schedule", Value: "0 22-2 * * *", Want: wantCron + `hour "22-2" ends before it begins`}},
		{"an empty part", check.ScheduleSpec{Schedule: "0,,5 * * * *"}, check.FieldError{Field: "spec.schedule", Value: "0,,5 * * * *", Want: wantCron + `minute "" is not from 0 to 59`}},
		{"a step of 0", check.ScheduleSpec{Schedule: "*/0 * * * *"}, check.FieldError{Field: "spec.schedule", Value: "*/0 * * * *", Want: wantCron + `minute "*/0" has a step that is not a number above 0`}},
		{"two steps", check.ScheduleSpec{Schedule: "*/5/2 * * * *"}, check.FieldError{Field: "spec.schedule", Value: "*/5/2 * * * *", Want: wantCron + `minute "*/5/2" has a step that is not a number above 0`}},
		{"30 February", check.ScheduleSpec{Schedule: "0 0 30 2 *"}, check.FieldError{Field: "spec.schedule", Value: "0 0 30 2 *", Want: wantCron + "none of its months has such a day"}},
		{"no nickname", check.ScheduleSpec{Schedule: "@reboot"}, check.FieldError{Field: "spec.schedule", Value: "@reboot", Want: wantCron + "@reboot is not @hourly, @daily, @weekly, @monthly, @yearly or @every with a duration"}},
		{"zone in the expression", check.ScheduleSpec{Schedule: "CRON_TZ=Asia/Tokyo 0 9 * * *"}, check.FieldError{Field: "spec.schedule", Value: "CRON_TZ=Asia/Tokyo 0 9 * * *", Want: wantCron + "the time zone goes into spec.timeZone"}},
		{"every day in days", check.ScheduleSpec{Schedule: "@every 1d"}, check.FieldError{Field: "spec.schedule", Value: "@every 1d", Want: "@every with " + wantInterval + `; write "24h"`}},
		{"every moment", check.ScheduleSpec{Schedule: "@every 10ms"}, check.FieldError{Field: "spec.schedule", Value: "@every 10ms", Want: "@every with " + wantInterval}},
		{"unknown zone", check.ScheduleSpec{Schedule: "0 9 * * *", TimeZone: "Mars/Olympus"}, check.FieldError{Field: "spec.timeZone", Value: "Mars/Olympus", Want: wantZone}},
		{"zone of the machine", check.ScheduleSpec{Schedule: "0 9 * * *", TimeZone: "Local"}, check.FieldError{Field: "spec.timeZone", Value: "Local", Want: wantZone}},
		{"zone is a path", check.ScheduleSpec{Schedule: "0 9 * * *", TimeZone: "../../etc/passwd"}, check.FieldError{Field: "spec.timeZone", Value: "../../etc/passwd", Want: wantZone}},
		{"zone with a field", check.ScheduleSpec{Schedule: "9 * * *", TimeZone: "UTC 0"}, check.FieldError{Field: "spec.timeZone", Value: "UTC 0", Want: wantZone}},
		{"zone of an interval", check.ScheduleSpec{RunInterval: "1m", TimeZone: "UTC"}, check.FieldError{Field: "spec.timeZone", Value: "UTC", Want: "used without spec.schedule"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := check.ParseSchedule(tt.spec)
			var got *check.FieldError
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want a FieldError", err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("error differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFieldErrorSaysWhatWouldBeRight(t *testing.T) {
	_, err := check.ParseSchedule(check.ScheduleSpec{RunInterval: "10"})
	if want := `spec.runInterval: "10" is not a duration of at least 1s, such as "10m"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestScheduleNext(t *testing.T) {
	interval := check.ScheduleSpec{RunInterval: "10m"}
	berlin := func(cron string) check.ScheduleSpec {
		return check.ScheduleSpec{Schedule: cron, TimeZone: "Europe/Berlin"}
	}
	const start = "2026-11-22T12:00:00.25Z"
	tests := []struct {
		name     string
		spec     check.ScheduleSpec
		t, after string
	}{
		{"interval: at the start", interval, start, "2026-11-22T12:10:00.25Z"},
		{"interval: before the start", interval, "2026-11-22T10:00:00Z", "2026-11-22T12:10:00.25Z"},
		{"interval: between", interval, "2026-11-22T12:34:56Z", "2026-11-22T12:40:00.25Z"},
		{"interval: at a tick", interval, "2026-11-22T12:20:00.25Z", "2026-11-22T12:30:00.25Z"},
		{"interval: just before a tick", interval, "2026-11-22T12:20:00.249999999Z", "2026-11-22T12:20:00.25Z"},
		{"interval: stays the same over a change to winter time", interval, "2026-10-25T00:59:00Z", "2026-11-22T12:10:00.25Z"},
		{"cron: UTC", check.ScheduleSpec{Schedule: "*/15 * * * *"}, "2026-11-22T12:01:00Z", "2026-11-22T12:15:00Z"},
		{"cron: at a tick", check.ScheduleSpec{Schedule: "*/15 * * * *"}, "2026-11-22T12:15:00Z", "2026-11-22T12:30:00Z"},
		{"cron: next leap day", check.ScheduleSpec{Schedule: "0 0 29 2 *"}, "2026-11-22T12:00:00Z", "2028-02-29T00:00:00Z"},
		{"zone: winter", berlin("0 9 * * *"), "2026-01-15T12:00:00Z", "2026-01-16T08:00:00Z"},
		{"zone: summer", berlin("0 9 * * *"), "2026-07-15T12:00:00Z", "2026-07-16T07:00:00Z"},
		{"zone: the day summer time begins", berlin("0 9 * * *"), "2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z"},
		{"zone: the day summer time ends", berlin("0 9 * * *"), "2026-10-24T07:00:00Z", "2026-10-25T08:00:00Z"},
		{"zone: a time that does not exist is left out", berlin("30 2 * * *"), "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"},
		{"zone: every hour goes on when summer time begins", berlin("0 * * * *"), "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"},
		{"zone: noon on the day whose midnight does not exist", check.ScheduleSpec{Schedule: "0 12 * * 5", TimeZone: "Africa/Cairo"}, "2027-04-23T10:00:00Z", "2027-04-30T09:00:00Z"},
		{"zone: a midnight that does not exist is left out", check.ScheduleSpec{Schedule: "@daily", TimeZone: "Africa/Cairo"}, "2027-04-28T22:00:00Z", "2027-04-30T21:00:00Z"},
		{"zone: a time that comes twice, first", berlin("30 2 * * *"), "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"},
		{"zone: a time that comes twice, again", berlin("30 2 * * *"), "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
		{"zone: clocks change by half an hour", check.ScheduleSpec{Schedule: "0 3 * * *", TimeZone: "Australia/Lord_Howe"}, "2026-10-02T16:30:00Z", "2026-10-03T16:00:00Z"},
		{"cron: an expression that is an interval", check.ScheduleSpec{Schedule: "@every 10m"}, "2026-11-22T12:34:56Z", "2026-11-22T12:40:00.25Z"},
		{"zone: half an hour", check.ScheduleSpec{Schedule: "0 9 * * *", TimeZone: "Asia/Kolkata"}, "2026-01-15T12:00:00Z", "2026-01-16T03:30:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parseSchedule(t, tt.spec).Next(at(t, start), at(t, tt.t))
			if want := at(t, tt.after); !got.Equal(want) {
				t.Errorf("after %s comes %s, want %s", tt.t, got.UTC().Format(time.RFC3339Nano), tt.after)
			}
		})
	}
}

// Each row is a tick that every calendar has: its hour exists on that day, and exists once.
func TestTicksAroundAChangeOfClocks(t *testing.T) {
	tests := []struct{ name, expression, zone, after, want string }{
		{"Friday noon in Cairo", "0 12 * * 5", "Africa/Cairo", "2027-04-23T12:00:00+02:00", "2027-04-30T12:00:00+03:00"},
		{"Sunday noon in Beirut", "0 12 * * 0", "Asia/Beirut", "2027-03-21T12:00:00+02:00", "2027-03-28T12:00:00+03:00"},
		{"Sunday noon on the Azores", "0 12 * * 7", "Atlantic/Azores", "2027-03-21T12:00:00-01:00", "2027-03-28T12:00:00Z"},
		{"Sunday noon in Asuncion before its last change", "0 12 * * 0", "America/Asuncion", "2023-09-24T12:00:00-04:00", "2023-10-01T12:00:00-03:00"},
		{"Thursday in Cairo, not on Friday", "0 9 * * 4", "Africa/Cairo", "2027-04-29T09:00:00+02:00", "2027-05-06T09:00:00+03:00"},
		{"Saturday in Santiago, not on Sunday", "0 9 * * 6", "America/Santiago", "2027-09-04T09:00:00-04:00", "2027-09-11T09:00:00-03:00"},
		{"Saturday in Havana, not on Sunday", "0 9 * * 6", "America/Havana", "2027-03-13T09:00:00-05:00", "2027-03-20T09:00:00-04:00"},
		{"three o'clock on Lord Howe", "0 3 * * *", "Australia/Lord_Howe", "2026-10-03T03:00:00+10:30", "2026-10-04T03:00:00+11:00"},
		{"six o'clock on Lord Howe", "0 */6 * * *", "Australia/Lord_Howe", "2026-10-04T00:00:00+10:30", "2026-10-04T06:00:00+11:00"},
		{"the day that Samoa left out", "0 9 * * *", "Pacific/Apia", "2011-12-29T09:00:00-10:00", "2011-12-31T09:00:00+14:00"},
		{"Sunday noon in Berlin", "0 12 * * 0", "Europe/Berlin", "2027-03-21T12:00:00+01:00", "2027-03-28T12:00:00+02:00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			schedule, after := parseSchedule(t, check.ScheduleSpec{Schedule: tt.expression, TimeZone: tt.zone}), at(t, tt.after)
			if got := schedule.Next(after, after); !got.Equal(at(t, tt.want)) {
				t.Errorf("after %s comes %s, want %s", tt.after, got.Format(time.RFC3339), tt.want)
			}
		})
	}
}

// Tick returns the scheduled time that Temporal started the tick for. A tick that decides late, but within its interval,
// has the same scheduled time.
func TestScheduleTick(t *testing.T) {
	const (
		start = "2026-11-22T12:00:00Z"
		tenth = "2026-11-22T12:10:00Z"
	)
	minutes := check.ScheduleSpec{RunInterval: "10m"}
	cron := check.ScheduleSpec{Schedule: "*/10 * * * *"}
	berlin := check.ScheduleSpec{Schedule: "30 2 * * *", TimeZone: "Europe/Berlin"}
	friday := check.ScheduleSpec{Schedule: "0 12 * * 5", TimeZone: "Africa/Cairo"} // Temporal starts at 9:00 and 10:00 in UTC
	const none = "0001-01-01T00:00:00Z"
	tests := []struct {
		name       string
		spec       check.ScheduleSpec
		after, now string
		want       string
	}{
		{"zone: at the hour of summer in winter", friday, "2026-11-26T10:00:00Z", "2026-11-27T09:00:00.04Z", none},
		{"zone: at the hour of winter in winter", friday, "2026-11-27T09:00:00.06Z", "2026-11-27T10:00:00.04Z", "2026-11-27T10:00:00Z"},
		{"zone: at the hour of summer in summer", friday, "2027-04-29T10:00:00Z", "2027-04-30T09:00:00.04Z", "2027-04-30T09:00:00Z"},
		{"zone: at the hour of winter in summer", friday, "2027-04-30T09:00:00.06Z", "2027-04-30T10:00:00.04Z", none},
		{"zone: early by the clock of another machine, at no tick", friday, "2027-04-30T09:00:00Z", "2027-04-30T09:59:58Z", none},
		{"zone: an overdue tick at the hour of no tick", friday, "2027-04-29T10:00:00Z", "2027-04-30T10:00:00Z", "2027-04-30T09:00:00Z"},
		{"interval: on time", minutes, start, tenth, tenth},
		{"interval: 40 ms late", minutes, "2026-11-22T12:00:00.05Z", "2026-11-22T12:10:00.04Z", tenth},
		{"interval: early by the clock of another machine", minutes, start, "2026-11-22T12:09:58Z", tenth},
		{"interval: late by nearly the whole interval", minutes, start, "2026-11-22T12:19:59.999Z", tenth},
		{"interval: late by an interval", minutes, start, "2026-11-22T12:20:00Z", "2026-11-22T12:20:00Z"},
		{"interval: after an outage", minutes, start, "2026-11-22T14:03:00Z", "2026-11-22T14:00:00Z"},
		{"interval: the tick before ended late", minutes, "2026-11-22T12:10:30Z", "2026-11-22T12:20:00Z", "2026-11-22T12:20:00Z"},
		{"interval: never the previous tick", minutes, "2026-11-22T12:20:00Z", "2026-11-22T12:18:00Z", "2026-11-22T12:30:00Z"},
		{"interval: a clock before the start", minutes, start, "2026-11-22T11:35:00Z", tenth},
		{"cron: on time", cron, start, tenth, tenth},
		{"cron: 40 ms late", cron, "2026-11-22T12:00:00.05Z", "2026-11-22T12:10:00.04Z", tenth},
		{"cron: early by the clock of another machine", cron, start, "2026-11-22T12:09:58Z", tenth},
		{"cron: late by nearly the whole interval", cron, start, "2026-11-22T12:19:59.999Z", tenth},
		{"cron: late by an interval", cron, start, "2026-11-22T12:20:00Z", "2026-11-22T12:20:00Z"},
		{"cron: after an outage", cron, start, "2026-11-22T14:03:00Z", "2026-11-22T14:00:00Z"},
		{"cron: never the previous tick", cron, "2026-11-22T12:20:00Z", "2026-11-22T12:18:00Z", "2026-11-22T12:30:00Z"},
		{"zone: after an outage over the beginning of summer time", berlin, "2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z", "2026-03-30T00:30:00Z"},
		{"zone: before the first tick of summer time", berlin, "2026-03-28T01:30:00Z", "2026-03-30T00:29:00Z", none},
		{"zone: after an outage over its end", berlin, "2026-10-24T00:30:00Z", "2026-10-26T01:31:00Z", "2026-10-26T01:30:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parseSchedule(t, tt.spec).Tick(at(t, start), at(t, tt.after), at(t, tt.now))
			if want := at(t, tt.want); !got.Equal(want) {
				t.Errorf("a tick after %s that decides at %s is due at %s, want %s", tt.after, tt.now, got.UTC().Format(time.RFC3339Nano), tt.want)
			}
		})
	}
}

func TestScheduleBetween(t *testing.T) {
	const start = "2026-11-22T12:00:00Z"
	tests := []struct {
		name          string
		spec          check.ScheduleSpec
		after, before string
		want          []string
	}{
		{"interval", check.ScheduleSpec{RunInterval: "10m"}, start, "2026-11-22T12:30:00Z", []string{"2026-11-22T12:10:00Z", "2026-11-22T12:20:00Z"}},
		{"interval: none", check.ScheduleSpec{RunInterval: "10m"}, "2026-11-22T12:10:00Z", "2026-11-22T12:20:00Z", nil},
		{"interval: none in no time", check.ScheduleSpec{RunInterval: "10m"}, "2026-11-22T12:20:00Z", "2026-11-22T12:10:00Z", nil},
		{
			"zone: the hour that comes twice",
			check.ScheduleSpec{Schedule: "30 * * * *", TimeZone: "Europe/Berlin"},
			"2026-10-24T23:00:00Z", "2026-10-25T02:00:00Z",
			[]string{"2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for tick := range parseSchedule(t, tt.spec).Between(at(t, start), at(t, tt.after), at(t, tt.before)) {
				got = append(got, tick.UTC().Format(time.RFC3339Nano))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ticks (-want +got):\n%s", diff)
			}
		})
	}
}

// A schedule has its own zone, although another check has the same expression in another zone. The spelling does not
// matter.
func TestTheSameExpressionInTwoZones(t *testing.T) {
	after := at(t, "2026-06-01T00:00:00Z")
	for range 2 {
		for zone, want := range map[string]string{"": "2026-06-01T09:00:00Z", "Europe/Berlin": "2026-06-01T07:00:00Z", "Asia/Tokyo": "2026-06-02T00:00:00Z"} {
			for _, expression := range []string{"0 9 * * *", "  0 9 * * * "} {
				schedule := parseSchedule(t, check.ScheduleSpec{Schedule: expression, TimeZone: zone})
				if got := schedule.Next(after, after); !got.Equal(at(t, want)) {
					t.Errorf("%q in %q is due at %s, want %s", expression, zone, got, want)
				}
			}
		}
		daily := parseSchedule(t, check.ScheduleSpec{Schedule: "@daily", TimeZone: "Asia/Tokyo"})
		if got := daily.Next(after, after); !got.Equal(at(t, "2026-06-01T15:00:00Z")) {
			t.Errorf("@daily in Tokyo is due at %s", got)
		}
	}
}

// A page reads the schedules of all checks.
func BenchmarkParseScheduleOfAThousandChecks(b *testing.B) {
	for b.Loop() {
		for i := range 1000 {
			spec := check.ScheduleSpec{Schedule: fmt.Sprintf("%d %d * * 1-5", i%60, i%24), TimeZone: "Europe/Berlin"}
			if _, err := check.ParseSchedule(spec); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// The cost of a tick after a day of missed ticks, one each minute.
func BenchmarkScheduleTickMinutelyForADay(b *testing.B) {
	schedule, err := check.ParseSchedule(check.ScheduleSpec{Schedule: "* * * * *", TimeZone: "Europe/Berlin"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		schedule.Tick(now.AddDate(0, 0, -1), now.AddDate(0, 0, -1), now)
	}
}

// The times that the clocks leave out once a year have no tick, and nothing else would say so.
func TestScheduleLeftOut(t *testing.T) {
	tests := []struct {
		name, expression, zone string
		want                   []string
	}{
		{"a time that does not exist", "30 2 * * *", "Europe/Berlin", []string{"2027-03-28 02:30"}},
		{"several of them", "*/10 1-3 * * *", "Europe/Berlin", []string{"2027-03-28 02:00"}},
		{"midnight in Cairo", "@daily", "Africa/Cairo", []string{"2027-04-30 00:00"}},
		{"half an hour on Lord Howe", "15 2 * * *", "Australia/Lord_Howe", []string{"2027-10-03 02:15"}},
		{"just before the change", "59 1 * * *", "Europe/Berlin", nil},
		{"just after it", "0 3 * * *", "Europe/Berlin", nil},
		{"on another day", "30 2 * * 1-5", "Europe/Berlin", nil},
		{"clocks that never change", "30 2 * * *", "Asia/Tokyo", nil},
		{"every hour goes on", "30 * * * *", "Europe/Berlin", nil},
		{"an interval goes on", "@every 1h", "Europe/Berlin", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, missing := range parseSchedule(t, check.ScheduleSpec{Schedule: tt.expression, TimeZone: tt.zone}).LeftOut(now, now.AddDate(1, 0, 0)) {
				got = append(got, missing.Format("2006-01-02 15:04"))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("left out (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScheduleSpecInWords(t *testing.T) {
	for want, spec := range map[string]check.ScheduleSpec{
		"every 10m0s":                  {},
		"every 2m":                     {RunInterval: "2m"},
		"0 9 * * 1-5":                  {Schedule: "0 9 * * 1-5"},
		"0 9 * * 1-5 in Europe/Berlin": {Schedule: "0 9 * * 1-5", TimeZone: "Europe/Berlin", RunInterval: "1m"},
	} {
		if got := spec.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestScheduleOf(t *testing.T) {
	got := check.ScheduleOf(khv1.CheckConfig{RunInterval: "1m", Schedule: "@daily", TimeZone: "UTC", Timeout: "5s"})
	if want := (check.ScheduleSpec{RunInterval: "1m", Schedule: "@daily", TimeZone: "UTC"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
