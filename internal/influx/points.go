package influx

import (
	"strings"
	"time"
	"unicode"

	"github.com/influxdata/influxdb-client-go/v2/api/write"

	"github.com/khronicle/khronicle/check"
)

// maxErrors is the most bytes of the tag Errors. InfluxDB refuses a point with more than 64 KiB of name and tags, and a report
// may be longer.
const maxErrors = 4096

// lines returns an outcome in InfluxDB's line protocol. One point says whether the run succeeded. If the check reported, a
// second point has the time that this took. The lines are the same each time, so sending them again changes nothing.
func lines(ref check.Ref, conclusion check.Conclusion) string {
	status := int64(0)
	if conclusion.OK() {
		status = 1
	}
	name := ref.Name + "." + ref.Namespace
	text := line(name, ref, conclusion, status)
	if conclusion.Reported {
		text += line("RunDuration."+name, ref, conclusion, conclusion.Concluded.Sub(conclusion.Started).Seconds())
	}
	return text
}

// line returns one point. The type of the value must be that of Kuberhealthy: InfluxDB refuses another one for the same field.
func line(measurement string, ref check.Ref, conclusion check.Conclusion, value any) string {
	tags := map[string]string{"Namespace": ref.Namespace, "Name": ref.Name}
	if found := tagValue(strings.Join(conclusion.Errors, ",")); found != "" { // InfluxDB has no empty tags
		tags["Errors"] = found
	}
	point := write.NewPoint(strings.ReplaceAll(measurement, " ", "_"), tags, map[string]any{"value": value}, conclusion.Concluded)
	return write.PointToLineProtocol(point, time.Nanosecond)
}

// tagValue returns text in a form that every reader of the line protocol accepts: one line without backslashes. Before a
// blank, a comma or the end, a backslash looks like an escape.
func tagValue(text string) string {
	return check.Cut(strings.Map(func(r rune) rune {
		switch {
		case r == '\\':
			return '/'
		case unicode.IsControl(r):
			return ' '
		}
		return r
	}, text), maxErrors)
}
