package check

import (
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/duration"
)

// minInterval is the shortest interval of a cron workflow.
const minInterval = time.Second

// ScheduleSpec is the schedule in a check's spec, as the user wrote it.
type ScheduleSpec struct {
	RunInterval, Schedule, TimeZone string
}

// ScheduleOf returns the schedule that the spec of a check asks for.
func ScheduleOf(spec khv1.CheckConfig) ScheduleSpec {
	return ScheduleSpec{RunInterval: spec.RunInterval, Schedule: spec.Schedule, TimeZone: spec.TimeZone}
}

// String returns, for example, "every 10m" or "0 9 * * 1-5 in Europe/Berlin".
func (s ScheduleSpec) String() string {
	switch {
	case s.Schedule == "" && s.RunInterval == "":
		return "every " + DefaultInterval.String()
	case s.Schedule == "":
		return "every " + s.RunInterval
	case s.TimeZone == "":
		return s.Schedule
	}
	return s.Schedule + " in " + s.TimeZone
}

// Schedule says when the ticks of a check are: at a fixed interval from a start, or by a cron expression.
type Schedule struct {
	interval time.Duration
	// calendar is nil for an interval.
	calendar *calendar
}

// ParseSchedule reads spec.schedule and spec.timeZone, or else spec.runInterval. It drops fractions of a second of an
// interval. An empty runInterval means DefaultInterval.
func ParseSchedule(spec ScheduleSpec) (Schedule, error) {
	switch {
	case spec.Schedule != "":
		return parseCron(spec)
	case spec.TimeZone != "":
		return Schedule{}, &FieldError{Field: "spec.timeZone", Value: spec.TimeZone, Want: "used without spec.schedule"}
	case spec.RunInterval == "":
		return Schedule{interval: DefaultInterval}, nil
	}
	interval, ok := parseInterval(spec.RunInterval)
	if !ok {
		return Schedule{}, &FieldError{Field: "spec.runInterval", Value: spec.RunInterval, Want: wantInterval(spec.RunInterval)}
	}
	return Schedule{interval: interval}, nil
}

func parseInterval(text string) (interval time.Duration, ok bool) {
	interval, err := time.ParseDuration(text)
	return interval.Truncate(time.Second), err == nil && interval >= minInterval
}

func wantInterval(text string) string {
	return `a duration of at least 1s, such as "10m"` + duration.Hint(text)
}

// parseCron reads a cron expression, or an interval such as "@every 10m".
func parseCron(spec ScheduleSpec) (Schedule, error) {
	zone, err := spec.location()
	if err != nil {
		return Schedule{}, err
	}
	expression := strings.TrimSpace(spec.Schedule)
	if text, ok := strings.CutPrefix(expression, "@every "); ok {
		interval, ok := parseInterval(text)
		if !ok {
			return Schedule{}, &FieldError{Field: "spec.schedule", Value: spec.Schedule, Want: "@every with " + wantInterval(text)}
		}
		return Schedule{interval: interval}, nil
	}
	parsed, err := parseCalendar(expression)
	if err != nil {
		return Schedule{}, &FieldError{
			Field: "spec.schedule", Value: spec.Schedule,
			Want: fmt.Sprintf(`a cron expression of five fields, such as "*/5 * * * *": %v`, err),
		}
	}
	parsed.zone = zone
	return Schedule{calendar: &parsed}, nil
}

// location returns the time zone of the schedule.
func (s ScheduleSpec) location() (*time.Location, error) {
	if s.TimeZone == "" {
		return time.UTC, nil
	}
	location, err := locationOf(s.TimeZone)
	if err != nil || s.TimeZone == "Local" {
		return nil, &FieldError{Field: "spec.timeZone", Value: s.TimeZone, Want: `an IANA time zone, such as "Europe/Berlin"`}
	}
	return location, nil
}

// locations are the time zones that were read, by name. Their number is bounded: unknown names are not stored.
var locations sync.Map

func locationOf(zone string) (*time.Location, error) {
	if known, ok := locations.Load(zone); ok {
		return known.(*time.Location), nil
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		return nil, err
	}
	locations.Store(zone, location)
	return location, nil
}

// FollowsCalendar is true for a cron expression, whose ticks do not depend on a start.
func (s Schedule) FollowsCalendar() bool { return s.calendar != nil }

// CronSpec returns the schedule as Temporal's CronSchedule reads it. A cron expression is in UTC, and names each tick from a
// time on. It may name more times than the schedule has, so whoever is started by it asks Tick.
func (s Schedule) CronSpec(from time.Time) string {
	if s.calendar != nil {
		return "CRON_TZ=UTC " + s.calendar.inUTC(from).String()
	}
	return "@every " + s.interval.String()
}

// Next returns the first tick after t, or the zero time if there is none. start is when the schedule began; a cron
// expression does not need it.
func (s Schedule) Next(start, t time.Time) time.Time {
	if s.calendar != nil {
		return s.calendar.next(t)
	}
	if t.Before(start) {
		return start.Add(s.interval)
	}
	return start.Add((t.Sub(start)/s.interval + 1) * s.interval)
}

// Between returns the ticks after one time and before another, without these two.
func (s Schedule) Between(start, after, before time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		for tick := s.Next(start, after); !tick.IsZero() && tick.Before(before); tick = s.Next(start, tick) {
			if !yield(tick) {
				return
			}
		}
	}
}

// Interval returns the time between the first two ticks after t.
func (s Schedule) Interval(t time.Time) time.Duration {
	first := s.Next(t, t)
	return s.Next(t, first).Sub(first)
}

// Tick returns the scheduled time of a tick that Temporal started after a time by CronSpec, and that is decided now. It is
// the first tick after the time, even when the decision is late within the interval. After an outage it is the last tick
// before now. It is zero when CronSpec names a time that is no tick.
func (s Schedule) Tick(start, after, now time.Time) (tick time.Time) {
	if s.calendar == nil {
		tick = s.Next(start, after)
		if latest := start.Add(now.Sub(start) / s.interval * s.interval); latest.After(tick) {
			return latest
		}
		return tick
	}
	until := s.calendar.inUTC(after).next(after) // now may be earlier, by the clock of another machine
	if now.After(until) {
		until = now
	}
	for next := range s.Between(start, after, until.Add(1)) {
		tick = next
	}
	return tick
}

// LeftOut returns the times from one time to another over which the clocks go forward, so that no run starts. Of each
// change it is the first one. It is what the clocks would show, in UTC. An interval, or an expression of every hour, has none.
func (s Schedule) LeftOut(from, to time.Time) []time.Time {
	if s.calendar == nil || s.calendar.hours == span(hourField.first, hourField.last) {
		return nil
	}
	return s.calendar.leftOut(from, to)
}
