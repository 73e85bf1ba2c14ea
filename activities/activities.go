package activities

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// Cluster is what the activities need of Kubernetes; package kube has it.
type Cluster interface {
	Workload(ctx context.Context, ref check.Ref) (w check.Workload, ok bool, err error)
	// Watches is true for a namespace whose pods are seen.
	Watches(namespace string) bool
	CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	// LivePod asks the API server for a pod; it returns nil when there is none.
	LivePod(ctx context.Context, namespace, name string) (*corev1.Pod, error)
	AwaitPod(ctx context.Context, namespace, name string, until func(check.Observation) bool) (check.Observation, error)
	DeletePod(ctx context.Context, namespace, name string) error
	PodsOf(namespace, checkName string) []*corev1.Pod
	WriteState(ctx context.Context, namespace, name string, build func(*khv1.KuberhealthyState) *khv1.KuberhealthyState) error
	SetJobPhase(ctx context.Context, ref check.Ref, phase khv1.JobPhase) error
	// Pod returns a pod as it is known, or as it was last seen if it went a moment ago. It asks nobody.
	Pod(namespace, name string) (*corev1.Pod, bool)
	PodEvents(ctx context.Context, namespace, name string) ([]corev1.Event, error)
	PodLog(ctx context.Context, namespace, name, container string) (check.LogTail, error)
	// FollowPodLog reads a log until the container or ctx ends.
	FollowPodLog(ctx context.Context, namespace, name, container string) (check.LogTail, error)
}

// Exporter sends outcomes elsewhere; package internal/influx has one. Export returns at once, takes care of failures
// itself, and may see the same outcome more than once.
type Exporter interface {
	Export(ref check.Ref, outcome check.Outcome)
}

// Heart is what a beat of the heart is for; package internal/heartbeat has one. Beat takes care of failures itself.
type Heart interface {
	Beat(ctx context.Context)
}

// Executions tell of workflows in Temporal.
type Executions interface {
	// Execution returns the newest execution of a workflow, and a zero one where Temporal has no record of it.
	Execution(ctx context.Context, workflowID string) (Execution, error)
}

// Execution is what Temporal knows of a workflow.
type Execution struct {
	// Open is true until it has ended, and Closed is when it did.
	Open   bool
	Closed time.Time
}

// Activities carries the clients and settings of the activities.
type Activities struct {
	Cluster Cluster
	// ReportingURL returns where checks that start now post their reports.
	ReportingURL func() string
	// Recorder is the name of this worker, shown on the states it writes.
	Recorder string
	// Retention returns which finished pods are kept now.
	Retention func() check.Retention
	// Ledger, if any, keeps the account of each run, and Build is the version of this worker in it.
	Ledger Ledger
	Build  string
	// Exporter, if any, gets each outcome that is recorded.
	Exporter Exporter
	// Heart, if any, beats as long as Temporal and a worker work.
	Heart      Heart
	Executions Executions
}

// Run names one attempt of a run.
type Run struct {
	Ref      check.Ref
	UUID     string
	Attempt  int
	Deadline time.Time
	// Due is when the run was due, and Started when it began; a run without has no account.
	Due     *Due      `json:",omitempty"`
	Started time.Time `json:",omitzero"`
	// SpecHash, of a further attempt, is that of the first: when the spec is another now, there is no pod.
	SpecHash string `json:",omitempty"`
	// Avoid are the nodes where the platform spoiled an earlier attempt.
	Avoid []string `json:",omitempty"`
	// Given is the workload of a run that was started with one of its own.
	Given *Given `json:",omitempty"`
}

// Given is a workload that who started the run brought along, in place of the check or job in the cluster.
type Given struct {
	Workload check.Workload
	// ReportingURL is where the check reports. Empty means where all others do.
	ReportingURL string
}

// Pod names the pod of a run.
type Pod struct {
	Namespace, Name string
	// Deadline is when to stop looking. The zero time means never.
	Deadline time.Time
}
