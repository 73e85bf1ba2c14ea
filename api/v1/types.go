package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Resource names and kinds of the group.
const (
	CheckResource = "khchecks"
	JobResource   = "khjobs"
	StateResource = "khstates"

	CheckKind = "KuberhealthyCheck"
	JobKind   = "KuberhealthyJob"
	StateKind = "KuberhealthyState"
)

// KHWorkload says which of the two resources a run or a state belongs to.
type KHWorkload string

// The two workloads, in Kuberhealthy's words.
const (
	KHCheck KHWorkload = "KHCheck"
	KHJob   KHWorkload = "KHJob"
)

// KuberhealthyCheck is a check that runs again and again.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=khchecks,singular=khcheck,shortName=khc
type KuberhealthyCheck struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec CheckConfig `json:"spec,omitempty"`
}

// CheckConfig is the spec of a KuberhealthyCheck.
//
// +kubebuilder:validation:XValidation:rule="has(self.runInterval) || has(self.schedule)",message="runInterval: Required value (or set schedule)"
type CheckConfig struct {
	// RunInterval is the time between the starts of two runs, as a Go duration such as "5m". Empty means 10m. A value
	// that cannot be read is reported on the check's state, not refused here. Required unless schedule is set.
	// +optional
	RunInterval string `json:"runInterval,omitempty"`
	// Timeout is the time one run may take in all, as a Go duration. Empty means 5m.
	Timeout string `json:"timeout"`
	// PodSpec is the checker pod. Its restartPolicy is always Never.
	PodSpec corev1.PodSpec `json:"podSpec"`
	// ExtraAnnotations are added to the checker pod.
	// +optional
	ExtraAnnotations map[string]string `json:"extraAnnotations,omitempty"`
	// ExtraLabels are added to the checker pod.
	// +optional
	ExtraLabels map[string]string `json:"extraLabels,omitempty"`

	// Schedule is a cron expression of five fields, as in CronJob. It takes the place of runInterval.
	// +optional
	Schedule string `json:"schedule,omitempty"`
	// TimeZone is the IANA name of the zone in which schedule is read. Empty means UTC.
	// +optional
	TimeZone string `json:"timeZone,omitempty"`
	// Attempts is how many attempts must fail before the check has failed. Each attempt is one pod. All of them belong to one
	// run and its timeout. Empty means 1. A run that succeeds after a failed attempt is flaky.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10
	// +optional
	Attempts int32 `json:"attempts,omitempty"`
	// Suspend stops further runs while it is true. A run in flight goes on.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// KuberhealthyCheckList is a list of checks.
//
// +kubebuilder:object:root=true
type KuberhealthyCheckList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []KuberhealthyCheck `json:"items"`
}

// JobPhase is the progress of a KuberhealthyJob. The result is in the job's KuberhealthyState.
type JobPhase string

// The phases of a job. A new job has none.
const (
	JobRunning   JobPhase = "Running"
	JobCompleted JobPhase = "Completed"
)

// KuberhealthyJob is a check that runs once.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=khjobs,singular=khjob,shortName=khj
type KuberhealthyJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec JobConfig `json:"spec,omitempty"`
}

// JobConfig is the spec of a KuberhealthyJob.
type JobConfig struct {
	// Phase is written by Khronicle: empty, Running, then Completed, whether the job passed or failed.
	// +optional
	Phase JobPhase `json:"phase,omitempty"`
	// Timeout is the time the run may take in all, as a Go duration. Empty means 5m.
	Timeout string `json:"timeout"`
	// PodSpec is the checker pod. Its restartPolicy is always Never.
	PodSpec corev1.PodSpec `json:"podSpec"`
	// ExtraAnnotations are added to the checker pod.
	// +optional
	ExtraAnnotations map[string]string `json:"extraAnnotations,omitempty"`
	// ExtraLabels are added to the checker pod.
	// +optional
	ExtraLabels map[string]string `json:"extraLabels,omitempty"`
}

// KuberhealthyJobList is a list of jobs.
//
// +kubebuilder:object:root=true
type KuberhealthyJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []KuberhealthyJob `json:"items"`
}

// KuberhealthyState is the last outcome of one check or job, of the same namespace and name.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=khstates,singular=khstate,shortName=khs
// +kubebuilder:printcolumn:name="OK",type=string,JSONPath=`.spec.OK`,description="whether the last run succeeded"
// +kubebuilder:printcolumn:name="Age LastRun",type=date,JSONPath=`.spec.LastRun`,description="time since the last outcome"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Duration",type=string,JSONPath=`.spec.RunDuration`,description="how long the last run took"
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.spec.khWorkload`,description="KHCheck or KHJob"
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.Node`,priority=1
// +kubebuilder:printcolumn:name="Error",type=string,JSONPath=`.spec.Errors[0]`,description="the first error of the last run"
type KuberhealthyState struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec WorkloadDetails `json:"spec,omitempty"`
}

// WorkloadDetails is the spec of a KuberhealthyState, and the entry of a check or job on the status page.
type WorkloadDetails struct {
	// OK is true when the last run found nothing wrong.
	OK bool `json:"OK"`
	// Errors says what the last run found wrong, one text a fault.
	Errors []string `json:"Errors"`
	// RunDuration is the time from the start of the last run to its outcome, as a Go duration. Empty when the check
	// itself did not report.
	RunDuration string `json:"RunDuration"`
	// Namespace is the namespace of the check or job.
	Namespace string `json:"Namespace"`
	// Node is the node on which the checker pod ran.
	Node string `json:"Node"`
	// LastRun is the time of the last outcome, in whole seconds.
	// +optional
	// +nullable
	LastRun *metav1.Time `json:"LastRun,omitempty"`
	// AuthoritativePod is the worker that recorded the outcome.
	AuthoritativePod string `json:"AuthoritativePod"`
	// CurrentUUID is the run UUID of the last run whose check reported. It is empty while it could be used to report.
	CurrentUUID string `json:"uuid"`
	// KHWorkload says whether the state is a check's or a job's.
	// +optional
	// +nullable
	KHWorkload *KHWorkload `json:"khWorkload,omitempty"`
}

// GetKHWorkload returns whether the state is a check's or a job's, or nothing when Kuberhealthy wrote it.
func (d *WorkloadDetails) GetKHWorkload() KHWorkload {
	if d.KHWorkload == nil {
		return ""
	}
	return *d.KHWorkload
}

// KuberhealthyStateList is a list of states.
//
// +kubebuilder:object:root=true
type KuberhealthyStateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []KuberhealthyState `json:"items"`
}
