package lint

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/duration"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/internal/yamlfile"
)

// judge reports what is wrong with a spec whose fields all have the right type.
func (o *object) judge(phase khv1.JobPhase, reportingURL string) {
	w := o.workload
	for _, fault := range w.Faults() {
		if wrong := (*check.FieldError)(nil); errors.As(fault.Err, &wrong) {
			o.breakf(fault.Field, "%q is not %s", wrong.Value, wrong.Want)
		} else {
			o.breakf(fault.Field, "%v", fault.Err)
		}
	}
	if phase != "" {
		o.warnf("spec.phase", "%q: a job with a phase counts as one that has run, and never runs; leave the phase out", string(phase))
	}
	o.times(w)
	o.extras(w)
	o.labels("spec.extraLabels", w.ExtraLabels)
	o.annotations("spec.extraAnnotations", w.ExtraAnnotations)
	o.foreign()
	o.pod(w.PodSpec, reportingURL)
}

// times warns of a timeout that does not fit the schedule or the deadline of the pod.
func (o *object) times(w check.Workload) {
	timeout, err := check.ParseTimeout(w.Timeout)
	if err != nil {
		return
	}
	if limit := w.PodSpec.ActiveDeadlineSeconds; limit != nil && *limit > 0 && *limit < int64(timeout/time.Second) {
		o.warnf(podSpec+".activeDeadlineSeconds", "%d seconds end the pod before spec.timeout (%s)", *limit, duration.Short(timeout))
	}
	if w.Schedule == nil {
		return
	}
	field := "spec.runInterval"
	if w.Schedule.Schedule != "" {
		field = "spec.schedule"
		if w.Schedule.RunInterval != "" {
			o.warnf("spec.runInterval", "has no effect beside spec.schedule")
		}
	}
	schedule, err := check.ParseSchedule(*w.Schedule)
	if err != nil {
		return
	}
	if interval := shortest(schedule); timeout > interval {
		o.warnf("spec.timeout", "%s is longer than the %s between two runs (%s); the next tick is skipped when a run takes that long",
			duration.Short(timeout), duration.Short(interval), field)
	}
	o.leftOut(*w.Schedule, schedule)
}

// leftOut warns of ticks that there are not, because clocks go forward over them.
func (o *object) leftOut(spec check.ScheduleSpec, schedule check.Schedule) {
	for _, missing := range schedule.LeftOut(o.now, o.now.AddDate(1, 0, 0)) {
		o.warnf("spec.schedule", "no run at %s on %s: the clocks of %s go forward over that time",
			missing.Format("15:04"), missing.Format(time.DateOnly), spec.TimeZone)
	}
}

// shortest returns the least time between two ticks of a schedule, among the first ticks of a year.
func shortest(schedule check.Schedule) time.Duration {
	const looks = 50
	start := time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)
	at := schedule.Next(start, start)
	least := time.Duration(1<<63 - 1)
	for range looks {
		next := schedule.Next(start, at)
		if !next.After(at) { // no further tick
			break
		}
		least, at = min(least, next.Sub(at)), next
	}
	return least
}

// extras warns of labels and annotations that Khronicle replaces.
func (o *object) extras(w check.Workload) {
	own := map[string]string{protocol.LabelRunID: "", protocol.LabelCheckName: o.name, protocol.LabelApp: protocol.AppName}
	for _, key := range slices.Sorted(maps.Keys(own)) {
		if value, ok := w.ExtraLabels[key]; ok && value != own[key] {
			o.warnf(entry("spec.extraLabels", key), "%q is replaced: Khronicle writes this label itself", value)
		}
	}
	if value, ok := w.ExtraAnnotations[protocol.AnnotationCheckName]; ok && value != o.name {
		o.warnf(entry("spec.extraAnnotations", protocol.AnnotationCheckName), "%q is replaced: Khronicle writes this annotation itself", value)
	}
}

// prefixesOfV3 begin the names of Kuberhealthy v3.
var prefixesOfV3 = []string{"kuberhealthy.io/", "kuberhealthy.github.io/"}

// isNameOfV3 is true for a label, an annotation or a finalizer of Kuberhealthy v3.
func isNameOfV3(name string) bool {
	return slices.ContainsFunc(prefixesOfV3, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// foreign warns of labels and annotations that nothing reads. These are those of Kuberhealthy v3, and that of Khronicle when it
// is misspelt or in another place.
func (o *object) foreign() {
	for _, given := range []struct {
		field  string
		values map[string]string
	}{
		{"metadata.labels", o.subject.GetLabels()},
		{"metadata.annotations", o.subject.GetAnnotations()},
		{"spec.extraLabels", o.workload.ExtraLabels},
		{"spec.extraAnnotations", o.workload.ExtraAnnotations},
	} {
		for _, key := range slices.Sorted(maps.Keys(given.values)) {
			o.unread(given.field, key)
		}
	}
}

// nearEnough is how many letters of the annotation may be wrong.
const nearEnough = 5

func (o *object) unread(field, key string) {
	near := yamlfile.Nearest(key, []string{protocol.AnnotationReportPath}, nearEnough) != ""
	known := field == "metadata.annotations" && key == protocol.AnnotationReportPath
	switch {
	case strings.HasPrefix(field, "metadata.") && isNameOfV3(key):
		o.warnf(entry(field, key), "has no effect: it is Kuberhealthy v3's")
	case near && !known:
		o.warnf(entry(field, key), "has no effect; did you mean metadata.annotations[%s]", protocol.AnnotationReportPath)
	}
}
