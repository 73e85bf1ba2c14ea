package influx

import (
	"strings"
	"time"
	"unicode"

	"github.com/influxdata/influxdb-client-go/v2/api/write"

	"github.com/khronicle/khronicle/check"
)

// maxErrors bounds the tag Errors, in bytes. InfluxDB refuses a point whose name and tags exceed 64 KiB, and a report may
// be longer than that.
const maxErrors = 4096

// lines returns an outcome in InfluxDB's line protocol: one point that says whether the run found nothing wrong, and, if
// the check itself reported, one for how long that took. They are the same, and so take each other's place in
// InfluxDB, whoever sends them and however often.
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

// line returns one point. The type of value must stay what it is in Kuberhealthy: InfluxDB refuses a second one.
func line(measurement string, ref check.Ref, conclusion check.Conclusion, value any) string {
	tags := map[string]string{"Namespace": ref.Namespace, "Name": ref.Name}
	if found := tagValue(strings.Join(conclusion.Errors, ",")); found != "" { // InfluxDB has no empty tags
		tags["Errors"] = found
	}
	point := write.NewPoint(strings.ReplaceAll(measurement, " ", "_"), tags, map[string]any{"value": value}, conclusion.Concluded)
	return write.PointToLineProtocol(point, time.Nanosecond)
}

// tagValue returns text in a form that every reader of the line protocol takes: on one line, and without backslashes,
// which that protocol cannot tell from escapes in front of a blank, a comma or the end.
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
