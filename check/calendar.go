package check

import (
	"fmt"
	"iter"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// calendar says when the ticks of a cron expression are. A tick is each minute at which the clocks of a time zone show a time
// of the expression. A time that the clocks leave out has no tick, and a time that they show twice has two.
type calendar struct {
	minutes, hours, days, months, weekdays values
	// eitherDay is true when a day matches if its date or its weekday does. Otherwise it must match both.
	eitherDay bool
	zone      *time.Location
}

// values is a set of numbers from 0 to 63.
type values uint64

func (v values) with(value int) values { return v | 1<<value }
func (v values) has(value int) bool    { return v&(1<<value) != 0 }

// from returns the least number of the set that is not below another number.
func (v values) from(least int) (value int, ok bool) {
	value = bits.TrailingZeros64(uint64(v) >> least << least)
	return value, value < 64
}

func (v values) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for value, ok := v.from(0); ok; value, ok = v.from(value + 1) {
			if !yield(value) {
				return
			}
		}
	}
}

// String returns the set as a cron expression has it, for example "0,9-17".
func (v values) String() string {
	var parts []string
	for first, ok := v.from(0); ok; {
		last := first + bits.TrailingZeros64(^(uint64(v) >> first)) - 1
		part := strconv.Itoa(first)
		if last > first {
			part += "-" + strconv.Itoa(last)
		}
		parts = append(parts, part)
		first, ok = v.from(last + 1)
	}
	return strings.Join(parts, ",")
}

// span returns the set of all numbers from one to another.
func span(first, last int) values { return 1<<(last+1) - 1<<first }

// horizon is how far ahead ticks are searched. The longest time between two ticks is eight years, from one 29 February to
// the next one over the year 2100.
const horizon = 9 * 366 * 24 * time.Hour

// next returns the first tick after t, or the zero time if there is none.
//
// Between two changes of its clocks, a time zone is a fixed distance from UTC, and its calendar has no exceptions. So each
// such period is searched alone.
func (c calendar) next(t time.Time) time.Time {
	start := t
	for offset, end := range c.periods(t, t.Add(horizon)) {
		if tick, ok := c.search(start.UTC().Add(offset), end.UTC().Add(offset)); ok {
			return tick.Add(-offset)
		}
		start = end.Add(-1) // a tick may be at the end itself
	}
	return time.Time{}
}

// periods returns the periods from one time to another in which the clocks of the zone do not change. Of each it says how far
// ahead of UTC the clocks are, and when the period ends.
func (c calendar) periods(from, to time.Time) iter.Seq2[time.Duration, time.Time] {
	return func(yield func(time.Duration, time.Time) bool) {
		for at := from; at.Before(to); {
			local := at.In(c.zone)
			_, end := local.ZoneBounds()
			if end.IsZero() || end.After(to) {
				end = to
			}
			if !yield(offsetAt(local), end) {
				return
			}
			at = end
		}
	}
}

func offsetAt(local time.Time) time.Duration {
	_, seconds := local.Zone()
	return time.Duration(seconds) * time.Second
}

// search returns the first time of the calendar after one time and before another. Both are what the clocks show, in UTC.
func (c calendar) search(after, before time.Time) (time.Time, bool) {
	at := after.Truncate(time.Minute).Add(time.Minute)
	for at.Before(before) {
		year, month, day := at.Date()
		midnight := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
		switch {
		case !c.months.has(int(month)):
			at = time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
			continue
		case c.onDay(day, midnight.Weekday()):
			if minute, ok := c.onClock(at.Hour(), at.Minute()); ok {
				at = midnight.Add(time.Duration(minute) * time.Minute)
				return at, at.Before(before)
			}
		}
		at = midnight.AddDate(0, 0, 1)
	}
	return time.Time{}, false
}

func (c calendar) onDay(day int, weekday time.Weekday) bool {
	date, week := c.days.has(day), c.weekdays.has(int(weekday))
	if c.eitherDay {
		return date || week
	}
	return date && week
}

// onClock returns the first minute of the day at or after a time of the day.
func (c calendar) onClock(hour, minute int) (ofDay int, ok bool) {
	for at, ok := c.hours.from(hour); ok; at, ok = c.hours.from(at + 1) {
		if at > hour {
			minute = 0
		}
		if minute, ok := c.minutes.from(minute); ok {
			return at*60 + minute, true
		}
	}
	return 0, false
}

// leftOut returns the times of the calendar after one time and before another over which the clocks go forward. Of several
// times that one change leaves out, it is the first. Each is what the clocks would show, in UTC.
func (c calendar) leftOut(after, before time.Time) (times []time.Time) {
	for offset, end := range c.periods(after, before) {
		if !end.Before(before) {
			break
		}
		changed := offsetAt(end.In(c.zone))
		if missing, ok := c.search(end.UTC().Add(offset-1), end.UTC().Add(changed)); ok {
			times = append(times, missing)
		}
	}
	return times
}

const minutesOfDay = 24 * 60

// inUTC returns a calendar in UTC that has each tick of c from a time on, for an engine that gets no time zones wrong. It
// has more times than c: a time of c is at another time of UTC in summer than in winter.
func (c calendar) inUTC(from time.Time) calendar {
	wide := calendar{eitherDay: c.eitherDay, zone: time.UTC}
	offsets, days := map[time.Duration]bool{}, map[int]bool{}
	for offset := range c.periods(from, from.Add(horizon)) {
		offsets[offset] = true
	}
	for offset := range offsets {
		for hour := range c.hours.all() {
			for minute := range c.minutes.all() {
				ofDay := hour*60 + minute - int(offset/time.Minute)
				day := (ofDay+minutesOfDay)/minutesOfDay - 1
				ofDay -= day * minutesOfDay
				wide.hours, wide.minutes = wide.hours.with(ofDay/60), wide.minutes.with(ofDay%60)
				days[day] = true
			}
		}
	}
	for day := range days {
		wide.addDays(c, day)
	}
	return wide
}

// lastDays are the days that may be the last one of a month.
var lastDays = span(28, 31)

// addDays adds the days of another calendar, or the days before (-1) or after (1) them.
func (c *calendar) addDays(other calendar, later int) {
	c.weekdays |= other.weekdays.rotate(later, weekdayField)
	c.months |= other.months | other.months.rotate(later, monthField)
	c.days |= other.days.rotate(later, dayField)
	switch {
	case later < 0 && other.days.has(1):
		c.days |= lastDays
	case later > 0 && other.days&lastDays != 0:
		c.days = c.days.with(1)
	}
}

// rotate returns the set with each value of a field replaced by the one before (-1) or after (1) it.
func (v values) rotate(by int, field cronField) (rotated values) {
	count := field.last - field.first + 1
	for value := range v.all() {
		rotated = rotated.with(field.first + (value-field.first+by+count)%count)
	}
	return rotated
}

// String returns the calendar as a cron expression, without its time zone.
func (c calendar) String() string {
	date, week := c.days.String(), c.weekdays.String()
	if !c.eitherDay { // a star says that both must match
		date, week = c.days.orStar(dayField), c.weekdays.orStar(weekdayField)
	}
	return fmt.Sprintf("%s %s %s %s %s", c.minutes.orStar(minuteField), c.hours.orStar(hourField), date, c.months.orStar(monthField), week)
}

// orStar returns the set as a cron expression has it, and "*" for all values of a field.
func (v values) orStar(field cronField) string {
	if v == span(field.first, field.last) {
		return "*"
	}
	return v.String()
}
