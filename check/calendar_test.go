package check_test

import (
	"archive/zip"
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/khronicle/khronicle/check"
)

var (
	allZones   = flag.Bool("calendar.all", false, "compare the ticks in all time zones, and not in a few")
	firstYear  = flag.Int("calendar.year", 2026, "first year in which ticks are compared")
	zoneYears  = flag.Int("calendar.years", 1, "number of years in which ticks are compared")
	randomEach = flag.Int("calendar.random", 2, "random expressions for each time zone")
)

// oddZones are zones whose clocks change at midnight, by half an hour, by two hours, during Ramadan, or not at all. Some
// clocks are no whole hours ahead of UTC.
var oddZones = []string{
	"Africa/Cairo", "Asia/Beirut", "America/Santiago", "America/Havana", "Atlantic/Azores", "Australia/Lord_Howe", "Antarctica/Troll",
	"Africa/Casablanca", "Europe/Berlin", "America/St_Johns", "Pacific/Chatham", "Asia/Kathmandu", "UTC",
}

// oddYears are years in which zones have changed their distance from UTC, or have left out a whole day.
var oddYears = map[string]int{"Pacific/Apia": 2011, "America/Caracas": 2016, "Asia/Pyongyang": 2018, "America/Sao_Paulo": 2017}

// expressions are those that all zones are compared with. Most begin or end at hours at which clocks change.
var expressions = []string{
	"0 12 * * 5", "0 12 * * 0", "0 9 * * 4", "0 9 * * 6", "0 3 * * *", "0 */6 * * *", "@daily", "@weekly", "@monthly", "@yearly", "@hourly",
	"30 2 * * *", "15,45 0-3 * * *", "*/10 23 * * *", "*/10 0 * * 1-5", "30 0-5 * * *", "*/30 1 * * SUN", "59 23 * * 7", "0 0 1 * 1", "0 0 31 * *",
	"30 1 29 2 *", "0 22 1 1 *", "0 2 28-31 3,10 *", "*/20 3 1,15 * FRI-SUN", "5 4 * * 5-7", "0 8-18/2 * * MON-FRI", "*/13 2 */9 * *", "7-59/9 1 ? * ?",
}

// Each minute at which the clocks of a zone show a time of the expression is a tick, and no other. Each is among the times
// that Temporal's server reads from CronSpec. The expected ticks come from walking through every minute of the years.
func TestTicksAreThoseOfACalendar(t *testing.T) {
	zones := oddZones
	if *allZones {
		zones = zonesOfTheDatabase(t)
	}
	var ticks atomic.Int64
	t.Run("zones", func(t *testing.T) {
		for _, zone := range zones {
			t.Run(zone, func(t *testing.T) {
				t.Parallel()
				compare(t, zone, *firstYear, *zoneYears, &ticks)
			})
		}
		for zone, year := range oddYears {
			t.Run(fmt.Sprintf("%s in %d", zone, year), func(t *testing.T) {
				t.Parallel()
				compare(t, zone, year, 1, &ticks)
			})
		}
	})
	t.Logf("%d zones, years from %d to %d, %d expressions for each, %d of them random: %d ticks", len(zones), *firstYear,
		*firstYear+*zoneYears-1, len(expressions)+*randomEach, *randomEach, ticks.Load())
}

// compare walks through every minute of the years.
func compare(t *testing.T, zone string, year, years int, ticks *atomic.Int64) {
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	from, to := yearBegins(year), yearBegins(year+years)
	random := rand.New(rand.NewPCG(uint64(year), uint64(crc32.ChecksumIEEE([]byte(zone)))))
	var all []*comparison
	ofMinute := map[int][]*comparison{} // by the minute of the day
	add := func(expression string) {
		c := newComparison(t, expression, zone, from)
		all = append(all, c)
		for _, minute := range c.minutes {
			ofMinute[minute] = append(ofMinute[minute], c)
		}
	}
	for _, expression := range expressions {
		add(expression)
	}
	for range *randomEach {
		add(randomExpression(random))
	}
	for at := from.Add(time.Minute); at.Before(to); at = at.Add(time.Minute) {
		local := at.In(location)
		for _, c := range ofMinute[local.Hour()*60+local.Minute()] {
			if c.onDay(local) {
				c.expect(t, at)
			}
		}
	}
	for _, c := range all {
		if c.next.Before(to) && !c.next.IsZero() {
			t.Errorf("%q: a tick at %s that the clocks do not show", c.expression, c.next.In(location))
		}
		ticks.Add(c.ticks)
	}
}

// comparison is an expression as this test reads it, and as the product and Temporal's server read it.
type comparison struct {
	expression                   string
	minutes                      []int // of the day
	days, months, weekdays       map[int]bool
	everyDate, everyWeekday, bad bool
	schedule                     check.Schedule
	engine                       cron.Schedule
	next                         time.Time
	ticks                        int64
}

func newComparison(t *testing.T, expression, zone string, from time.Time) *comparison {
	t.Helper()
	schedule := parseSchedule(t, check.ScheduleSpec{Schedule: expression, TimeZone: zone})
	engine, err := cron.ParseStandard(schedule.CronSpec(from))
	if err != nil {
		t.Fatalf("%q becomes %q, which Temporal refuses: %v", expression, schedule.CronSpec(from), err)
	}
	c := &comparison{expression: expression, schedule: schedule, engine: engine, next: schedule.Next(from, from)}
	if long, ok := map[string]string{
		"@yearly": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0", "@daily": "0 0 * * *", "@hourly": "0 * * * *",
	}[expression]; ok {
		expression = long
	}
	fields := strings.Fields(expression)
	minutes, hours := listed(fields[0], 0, 59), listed(fields[1], 0, 23)
	for ofDay := range 24 * 60 {
		if hours[ofDay/60] && minutes[ofDay%60] {
			c.minutes = append(c.minutes, ofDay)
		}
	}
	c.days, c.months, c.weekdays = listed(fields[2], 1, 31), listed(fields[3], 1, 12), listed(fields[4], 0, 6)
	c.everyDate, c.everyWeekday = strings.Trim(fields[2], "*?") == "", strings.Trim(fields[4], "*?") == ""
	return c
}

// listed reads a field in the forms that this test uses.
func listed(text string, first, last int) map[int]bool {
	set := map[int]bool{}
	for part := range strings.SplitSeq(text, ",") {
		part, steps, _ := strings.Cut(part, "/")
		low, high, step := first, last, max(number(steps), 1)
		if part != "*" && part != "?" {
			from, to, isRange := strings.Cut(part, "-")
			low = number(from)
			if high = low; isRange {
				high = number(to)
			}
			if from != "SUN" && to == "SUN" {
				high = 7
			}
		}
		for value := low; value <= high; value += step {
			if last == 6 {
				set[value%7] = true
			} else {
				set[value] = true
			}
		}
	}
	return set
}

func number(text string) int {
	if day := slices.Index([]string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}, text); day >= 0 {
		return day
	}
	value, _ := strconv.Atoi(text)
	return value
}

func (c *comparison) onDay(local time.Time) bool {
	date, week := c.days[local.Day()], c.weekdays[int(local.Weekday())]
	switch {
	case !c.months[int(local.Month())]:
		return false
	case c.everyDate:
		return week
	case c.everyWeekday:
		return date
	}
	return date || week
}

// expect is called for each tick that there must be.
func (c *comparison) expect(t *testing.T, tick time.Time) {
	c.ticks++
	if c.bad {
		return
	}
	if !c.next.Equal(tick) {
		t.Errorf("%q: the next tick is %s, want %s", c.expression, c.next, tick)
		c.bad = true
	}
	if wake := c.engine.Next(tick.Add(-time.Second)); !wake.Equal(tick) {
		t.Errorf("%q: Temporal starts at %s and not at the tick at %s", c.expression, wake, tick)
		c.bad = true
	}
	c.next = c.schedule.Next(tick, tick)
}

// randomExpression returns an expression of any kind, with few ticks.
func randomExpression(random *rand.Rand) string {
	pick := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	span := func(first, last int) string {
		from := first + random.IntN(last-first)
		return fmt.Sprintf("%d-%d", from, from+random.IntN(last-from+1))
	}
	one := func(first, last int) string { return fmt.Sprint(first + random.IntN(last-first+1)) }
	return strings.Join([]string{
		pick(one(0, 59), one(0, 59), one(0, 59)+","+one(0, 59), "*/"+one(11, 40)),
		pick(one(0, 23), one(0, 4), span(0, 23), "*/"+one(2, 12), one(0, 2)+","+one(22, 23)),
		pick("*", "*", "*", one(1, 31), span(1, 31), span(25, 31)+","+one(1, 2), "*/"+one(2, 10)),
		pick("*", "*", "*", one(1, 12), span(1, 12), "3,4,9,10,11"),
		pick("*", "*", one(0, 7), span(0, 7), "*/"+one(2, 3), "0,6"),
	}, " ")
}

// zonesOfTheDatabase returns the names of all time zones that Go has. Of zones whose clocks show the same in the years to
// compare, it returns one.
func zonesOfTheDatabase(t *testing.T) (zones []string) {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	seen, names := map[string]bool{}, 0
	for _, file := range archive.File {
		if strings.HasSuffix(file.Name, "/") {
			continue
		}
		names++
		if clocks := clocksOf(t, file.Name); !seen[clocks] {
			seen[clocks] = true
			zones = append(zones, file.Name)
		}
	}
	t.Logf("%d names of time zones, %d with different clocks", names, len(zones))
	if names < 500 || len(zones) < 60 {
		t.Error("these are too few")
	}
	return zones
}

// clocksOf returns how far the clocks of a zone are ahead of UTC in the years to compare, and when that changes.
func clocksOf(t *testing.T, zone string) string {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	var changes strings.Builder
	last := -1
	for at := yearBegins(*firstYear); at.Before(yearBegins(*firstYear + *zoneYears)); at = at.Add(15 * time.Minute) {
		if _, offset := at.In(location).Zone(); offset != last {
			fmt.Fprintln(&changes, at.Unix(), offset)
			last = offset
		}
	}
	return changes.String()
}

func yearBegins(year int) time.Time { return time.Date(year, time.January, 1, 0, 0, 0, 0, time.UTC) }
