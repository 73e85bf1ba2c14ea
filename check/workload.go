package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/duration"
	"github.com/khronicle/khronicle/internal/protocol"
)

// Defaults of a check that leaves a field empty, as in Kuberhealthy v2.
const (
	DefaultInterval = 10 * time.Minute
	DefaultTimeout  = 5 * time.Minute
)

// Ref names one revision of a check or job.
type Ref struct {
	Kind      khv1.KHWorkload
	Namespace string
	Name      string
	UID       types.UID
	// Generation is the revision of the spec, as the API server counts it.
	Generation int64
}

// String returns namespace/name, the form in which errors, the status page and the metrics name a check.
func (r Ref) String() string { return r.Namespace + "/" + r.Name }

// CounterLabel returns the value of the label check of counters: namespace/name of a check, namespace/ of a job.
// Jobs often have a new name each time, and a counter keeps its series long after its last event.
func (r Ref) CounterLabel() string {
	if r.Kind == khv1.KHJob {
		r.Name = ""
	}
	return r.String()
}

// Workload is what a check and a job have in common: one pod to run within a timeout.
type Workload struct {
	Ref
	Timeout          string
	PodSpec          corev1.PodSpec
	ExtraLabels      map[string]string
	ExtraAnnotations map[string]string
	// ReportPath is the path to which the check reports. Empty means that of the configured URL.
	ReportPath string `json:",omitempty"`
	// Attempts is how many attempts must fail before the check has failed; 0 means 1.
	Attempts int `json:",omitempty"`
	// Schedule says when the ticks of a check are. A job has none.
	Schedule *ScheduleSpec
}

// FromCheck returns the workload of a check.
func FromCheck(c *khv1.KuberhealthyCheck) Workload {
	schedule := ScheduleOf(c.Spec)
	return Workload{
		Ref:     Ref{Kind: khv1.KHCheck, Namespace: c.Namespace, Name: c.Name, UID: c.UID, Generation: c.Generation},
		Timeout: c.Spec.Timeout, PodSpec: c.Spec.PodSpec,
		ExtraLabels: c.Spec.ExtraLabels, ExtraAnnotations: c.Spec.ExtraAnnotations,
		ReportPath: c.Annotations[protocol.AnnotationReportPath], Attempts: int(c.Spec.Attempts), Schedule: &schedule,
	}
}

// FromJob returns the workload of a job.
func FromJob(j *khv1.KuberhealthyJob) Workload {
	return Workload{
		Ref:     Ref{Kind: khv1.KHJob, Namespace: j.Namespace, Name: j.Name, UID: j.UID, Generation: j.Generation},
		Timeout: j.Spec.Timeout, PodSpec: j.Spec.PodSpec,
		ExtraLabels: j.Spec.ExtraLabels, ExtraAnnotations: j.Spec.ExtraAnnotations,
		ReportPath: j.Annotations[protocol.AnnotationReportPath],
	}
}

// FieldError says which field of a spec is wrong and what would be right.
type FieldError struct {
	Field string
	Value string
	Want  string
}

// Error returns, for example: spec.timeout: "abc" is not a duration such as "5m".
func (e *FieldError) Error() string { return fmt.Sprintf("%s: %q is not %s", e.Field, e.Value, e.Want) }

// ParseTimeout reads spec.timeout. Empty means DefaultTimeout.
func ParseTimeout(value string) (time.Duration, error) {
	if value == "" {
		return DefaultTimeout, nil
	}
	timeout, err := time.ParseDuration(value)
	if err != nil || timeout <= 0 {
		return 0, &FieldError{Field: "spec.timeout", Value: value, Want: `a duration above 0, such as "5m"` + duration.Hint(value)}
	}
	return timeout, nil
}

// Fault is one reason why a workload gives no pod, and the field of the resource that causes it.
type Fault struct {
	Field string
	Err   error
}

// Validate returns the first reason why the workload gives no pod, in Kuberhealthy's words where it has some.
func (w Workload) Validate() error {
	if faults := w.Faults(); len(faults) > 0 {
		return faults[0].Err
	}
	return nil
}

// Faults returns every reason why the workload gives no pod, in Kuberhealthy's words where it has some.
func (w Workload) Faults() []Fault {
	var faults []Fault
	if _, err := ParseTimeout(w.Timeout); err != nil {
		faults = append(faults, Fault{"spec.timeout", err})
	}
	if w.Schedule != nil {
		faults = append(faults, w.Schedule.faults()...)
	}
	if err := parseReportPath(w.ReportPath); err != nil {
		faults = append(faults, Fault{reportPathField, err})
	}
	if w.Attempts < 0 || w.Attempts > MaxAttempts {
		faults = append(faults, Fault{"spec.attempts", &FieldError{
			Field: "spec.attempts", Value: strconv.Itoa(w.Attempts), Want: fmt.Sprintf("a number from 1 to %d", MaxAttempts),
		}})
	}
	if len(w.PodSpec.Containers) == 0 {
		faults = append(faults, Fault{"spec.podSpec.containers", errors.New("no containers found in checks PodSpec")})
	}
	for i, container := range w.PodSpec.Containers {
		if container.Image == "" {
			faults = append(faults, Fault{
				fmt.Sprintf("spec.podSpec.containers[%d].image", i),
				fmt.Errorf("no image found in check's PodSpec for container %s.", container.Name), //nolint:revive,staticcheck // Kuberhealthy's text
			})
		}
	}
	return faults
}

// faults reads the time zone and the expression separately, because an error in one hides an error in the other.
func (s ScheduleSpec) faults() []Fault {
	parts := []ScheduleSpec{s}
	if s.Schedule != "" {
		parts = []ScheduleSpec{{Schedule: "* * * * *", TimeZone: s.TimeZone}, {Schedule: s.Schedule}}
	}
	var faults []Fault
	for _, part := range parts {
		_, err := ParseSchedule(part)
		if wrong := (*FieldError)(nil); errors.As(err, &wrong) {
			faults = append(faults, Fault{wrong.Field, wrong})
		}
	}
	return faults
}

// SpecHash returns a short name of what the workload runs. Equal specs have the same name, and an edit changes it.
func (w Workload) SpecHash() string {
	spec, err := json.Marshal(struct {
		Timeout             string
		PodSpec             corev1.PodSpec
		Labels, Annotations map[string]string
		Attempts            int    `json:",omitempty"`
		ReportPath          string `json:",omitempty"`
	}{w.Timeout, w.PodSpec, w.ExtraLabels, w.ExtraAnnotations, w.Attempts, w.ReportPath})
	if err != nil { // not possible: it came as JSON
		return ""
	}
	return ShortHash(string(spec))
}
