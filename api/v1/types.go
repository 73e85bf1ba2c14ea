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
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Healthy",type=string,JSONPath=`.status.conditions[?(@.type=="Healthy")].status`,description="whether the last run succeeded"
// +kubebuilder:printcolumn:name="Last Run",type=date,JSONPath=`.status.lastRunTime`,description="time since the last outcome, up to 10 minutes behind"
// +kubebuilder:printcolumn:name="Schedule",type=string,JSONPath=`.status.schedule`,description="when the check runs"
// +kubebuilder:printcolumn:name="Suspended",type=boolean,JSONPath=`.spec.suspend`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,priority=1,description="whether the check is valid and scheduled"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Healthy")].reason`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Healthy")].message`,priority=1
type KuberhealthyCheck struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec CheckConfig `json:"spec,omitempty"`
	// Status is what Khronicle shows of the check. Only the starter writes it. A status in a manifest is ignored, whatever it
	// contains. The default lets kstatus wait for the first status.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	// +kubebuilder:pruning:PreserveUnknownFields
	Status CheckStatus `json:"status,omitzero"`
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

// Condition types of a check.
const (
	// ConditionReady is true when the spec is valid and the check is scheduled, or suspended as its spec says. The outcomes of
	// runs do not matter.
	ConditionReady = "Ready"
	// ConditionHealthy is true when the last run succeeded, and false when it did not. It is unknown before the first run,
	// while the check is paused, and when the next outcome is overdue.
	ConditionHealthy = "Healthy"
	// ConditionStalled is true when the check will never be ready without an edit. Otherwise it is absent.
	ConditionStalled = "Stalled"
)

// CheckStatus is the status of a KuberhealthyCheck. It is written when something changes, not at each run.
type CheckStatus struct {
	// ObservedGeneration is the generation of the check that Ready is about. It is -1 before the first status.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions are Ready, Healthy and Stalled. The generation that Healthy observed is that of the run.
	// +optional
	// +listType=atomic
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Schedule says when the check runs, for example "every 2m" or "0 9 * * 1-5 in Europe/Berlin".
	// +optional
	Schedule string `json:"schedule,omitempty"`
	// LastRunTime is the time of the last outcome, or of one that is less than 10 minutes older.
	// +optional
	LastRunTime *metav1.Time `json:"lastRunTime,omitempty"`
	// NextRunTime is the first tick after the status was written. A check that is paused or not valid has none.
	// +optional
	NextRunTime *metav1.Time `json:"nextRunTime,omitempty"`
	// LastRequest is the run that was last asked for by the annotation khronicle.github.io/requested-at.
	// +optional
	LastRequest *RunRequest `json:"lastRequest,omitempty"`
}

// RunRequestPhase is the progress of a run that somebody asked for.
type RunRequestPhase string

// The phases of a requested run.
const (
	// RequestWaiting: the request was taken up, and its run begins when the open run of the check has ended.
	RequestWaiting RunRequestPhase = "Waiting"
	// RequestRunning: the run is open.
	RequestRunning RunRequestPhase = "Running"
	// RequestEnded: the run has ended.
	RequestEnded RunRequestPhase = "Ended"
	// RequestRefused: there is no run for this value, and the message says why.
	RequestRefused RunRequestPhase = "Refused"
)

// RunRequest is the progress of the run that one value of the annotation khronicle.github.io/requested-at asks for.
type RunRequest struct {
	// Value is the value of the annotation.
	Value string `json:"value"`
	// Phase is Waiting, Running, Ended or Refused.
	Phase RunRequestPhase `json:"phase"`
	// Time is when the phase began.
	Time metav1.Time `json:"time"`
	// Outcome is that of the run, once it has ended: succeeded, failed, timed-out, infra-failed or canceled.
	// +optional
	Outcome string `json:"outcome,omitempty"`
	// RunUUID is the run UUID, once the run has ended.
	// +optional
	RunUUID string `json:"runUUID,omitempty"`
	// Message says more about a run that was refused or lost.
	// +optional
	Message string `json:"message,omitempty"`
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
