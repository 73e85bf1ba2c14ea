package check

import (
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	khv1 "github.com/khronicle/khronicle/api/v1"
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

// Schedule says when the ticks of a check are: at a fixed interval from a start, or by a cron expression.
type Schedule struct {
	interval time.Duration
	cron     cron.Schedule
	spec     string
}

// ParseSchedule reads spec.schedule and spec.timeZone, or else spec.runInterval. It drops fractions of a second of
// runInterval. An empty runInterval means DefaultInterval.
func ParseSchedule(spec ScheduleSpec) (Schedule, error) {
	if spec.Schedule != "" {
		return parseCron(spec.Schedule, spec.TimeZone)
	}
	if spec.TimeZone != "" {
		return Schedule{}, &FieldError{Field: "spec.timeZone", Value: spec.TimeZone, Want: "used without spec.schedule"}
	}
	interval := DefaultInterval
	if spec.RunInterval != "" {
		var err error
		interval, err = time.ParseDuration(spec.RunInterval)
		if err != nil || interval < minInterval {
			return Schedule{}, &FieldError{
				Field: "spec.runInterval", Value: spec.RunInterval, Want: `a duration of at least 1s, such as "10m"`,
			}
		}
	}
	interval = interval.Truncate(time.Second)
	return Schedule{interval: interval, spec: "@every " + interval.String()}, nil
}

func parseCron(expression, zone string) (Schedule, error) {
	wantCron := &FieldError{
		Field: "spec.schedule", Value: expression, Want: `a cron expression of five fields, such as "*/5 * * * *"`,
	}
	if strings.Contains(expression, "TZ=") {
		wantCron.Want += "; the time zone goes into spec.timeZone"
		return Schedule{}, wantCron
	}
	if zone == "" {
		zone = "UTC"
	}
	location, err := locationOf(zone)
	if err != nil || zone == "Local" {
		return Schedule{}, &FieldError{
			Field: "spec.timeZone", Value: zone, Want: `an IANA time zone, such as "Europe/Berlin"`,
		}
	}
	// Without the zone: the parser would read its file each time.
	parsed, err := cron.ParseStandard(strings.TrimSpace(expression))
	if err != nil || parsed.Next(time.Unix(0, 0).UTC()).IsZero() { // such as 30 February
		return Schedule{}, wantCron
	}
	if fields, ok := parsed.(*cron.SpecSchedule); ok {
		fields.Location = location
	}
	return Schedule{cron: parsed, spec: "CRON_TZ=" + zone + " " + expression}, nil
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

// CronSpec returns the schedule as Temporal's CronSchedule reads it.
func (s Schedule) CronSpec() string { return s.spec }

// Next returns the first tick after t. start is when the schedule began; a cron expression does not need it.
func (s Schedule) Next(start, t time.Time) time.Time {
	if s.cron != nil {
		return s.cron.Next(t)
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

// Tick returns the scheduled time of a tick that Temporal planned after a time, and that is decided now. It is the first
// tick after the time, even when the decision is late within the interval. After an outage it is the last tick before now.
func (s Schedule) Tick(start, after, now time.Time) time.Time {
	tick := s.Next(start, after)
	if s.cron == nil {
		if latest := start.Add(now.Sub(start) / s.interval * s.interval); latest.After(tick) {
			return latest
		}
		return tick
	}
	for next := s.Next(start, tick); !next.IsZero() && !next.After(now); next = s.Next(start, next) {
		tick = next
	}
	return tick
}
