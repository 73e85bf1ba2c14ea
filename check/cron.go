package check

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cronField is one of the five fields of a cron expression.
type cronField struct {
	name string
	// first and last are the values that "*" stands for.
	first, last int
	// most is the greatest number. If it is above last, it means first again: Sunday is 0 and 7.
	most int
	// names are the names of the values from first on.
	names []string
}

var (
	minuteField  = cronField{name: "minute", first: 0, last: 59, most: 59}
	hourField    = cronField{name: "hour", first: 0, last: 23, most: 23}
	dayField     = cronField{name: "day of the month", first: 1, last: 31, most: 31}
	monthField   = cronField{name: "month", first: 1, last: 12, most: 12, names: strings.Fields("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC")}
	weekdayField = cronField{name: "day of the week", first: 0, last: 6, most: 7, names: strings.Fields("SUN MON TUE WED THU FRI SAT")}
)

// nicknames are the expressions that have a name.
var nicknames = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// parseCalendar reads a cron expression. Its error says which field is wrong, and what that field may be.
func parseCalendar(expression string) (c calendar, err error) {
	if strings.Contains(expression, "TZ=") {
		return c, errors.New("the time zone goes into spec.timeZone")
	}
	if strings.HasPrefix(expression, "@") {
		known, ok := nicknames[expression]
		if !ok {
			return c, fmt.Errorf("%s is not @hourly, @daily, @weekly, @monthly, @yearly or @every with a duration", expression)
		}
		expression = known
	}
	texts := strings.Fields(expression)
	if len(texts) != 5 {
		return c, fmt.Errorf("want 5 fields, not %d", len(texts))
	}
	fields := []struct {
		cronField
		set *values
	}{{minuteField, &c.minutes}, {hourField, &c.hours}, {dayField, &c.days}, {monthField, &c.months}, {weekdayField, &c.weekdays}}
	var stars [5]bool
	for i, field := range fields {
		if *field.set, stars[i], err = field.parse(texts[i]); err != nil {
			return c, fmt.Errorf("%s %w", field.name, err)
		}
	}
	c.eitherDay = !stars[2] && !stars[4]
	if _, ok := c.search(time.Unix(0, 0).UTC(), time.Unix(0, 0).UTC().Add(horizon)); !ok {
		return c, errors.New("none of its months has such a day")
	}
	return c, nil
}

// parse reads a list of values and ranges. star is true if "*" is in the list.
func (f cronField) parse(text string) (set values, star bool, err error) {
	for part := range strings.SplitSeq(text, ",") {
		first, last, step, err := f.parsePart(part)
		if err != nil {
			return 0, false, err
		}
		for value := first; value <= last; value += step {
			if value > f.last {
				set = set.with(f.first)
				continue
			}
			set = set.with(value)
		}
		star = star || isStar(part[:1]) && step == 1
	}
	return set, star, nil
}

func isStar(text string) bool { return text == "*" || text == "?" }

// parsePart reads a value or a range, and its step. A single value with a step begins a range up to the last value.
func (f cronField) parsePart(part string) (first, last, step int, err error) {
	span, steps, stepped := strings.Cut(part, "/")
	step = 1
	if stepped {
		if step, err = strconv.Atoi(steps); err != nil || step < 1 {
			return 0, 0, 0, fmt.Errorf("%q has a step that is not a number above 0", part)
		}
	}
	from, to, ranged := strings.Cut(span, "-")
	switch {
	case isStar(span):
		return f.first, f.last, step, nil
	case ranged:
		first, last, err = f.parseRange(from, to)
	case stepped:
		first, last, err = f.parseRange(from, strconv.Itoa(f.last))
	default:
		first, err = f.parseValue(from)
		last = first
	}
	return first, last, step, err
}

func (f cronField) parseRange(from, to string) (first, last int, err error) {
	if first, err = f.parseValue(from); err != nil {
		return 0, 0, err
	}
	if last, err = f.parseValue(to); err != nil {
		return 0, 0, err
	}
	if first > last && last == f.first && f.most > f.last { // Sunday ends the week too
		last = f.most
	}
	if first > last {
		return 0, 0, fmt.Errorf(`"%s-%s" ends before it begins`, from, to)
	}
	return first, last, nil
}

// parseValue reads a number or a name.
func (f cronField) parseValue(text string) (int, error) {
	if i := slices.Index(f.names, strings.ToUpper(text)); i >= 0 {
		return f.first + i, nil
	}
	value, err := strconv.ParseUint(text, 10, 8)
	if err == nil && int(value) >= f.first && int(value) <= f.most {
		return int(value), nil
	}
	if f.names == nil {
		return 0, fmt.Errorf("%q is not from %d to %d", text, f.first, f.most)
	}
	return 0, fmt.Errorf("%q is not from %d to %d, or %s to %s", text, f.first, f.most, f.names[0], f.names[len(f.names)-1])
}
