// Package khjobcrd reads and writes KuberhealthyJobs, with the names of Kuberhealthy v2.4's package pkg/apis/khjob/v1,
// which its importers call khjobcrd. It is for programs that were written against that; new ones can use the types of
// api/v1 with any Kubernetes client.
//
// Its types are those of api/v1, so that one object fits both.
package khjobcrd

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/kube"
)

// KuberhealthyJob is a check that runs once.
type KuberhealthyJob = khv1.KuberhealthyJob

// KuberhealthyJobList is a list of jobs.
type KuberhealthyJobList = khv1.KuberhealthyJobList

// JobConfig is the spec of a KuberhealthyJob.
type JobConfig = khv1.JobConfig

// JobPhase is the progress of a KuberhealthyJob. The result is in the job's KuberhealthyState.
type JobPhase = khv1.JobPhase

// The phases of a job. A new job has none; a failed one is completed, too.
const (
	JobRunning   JobPhase = khv1.JobRunning
	JobCompleted JobPhase = khv1.JobCompleted
)

// SchemeGroupVersion is the API group and version of the jobs. In v2.4 it was empty before ConfigureScheme.
var SchemeGroupVersion = khv1.GroupVersion

// NewKuberhealthyJob returns a job, which is not yet in the cluster.
func NewKuberhealthyJob(name, namespace string, spec JobConfig) KuberhealthyJob {
	return KuberhealthyJob{
		TypeMeta:   metav1.TypeMeta{APIVersion: khv1.GroupVersion.String(), Kind: khv1.JobKind},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       spec,
	}
}

// ConfigureScheme adds the resources of Khronicle to the scheme that client-go shares, once in a process. Clients made
// here have a scheme of their own and do not need it; a REST client for New may. Call it before anything else uses the
// shared scheme, which has no lock. Group and version must be comcast.github.io and v1.
func ConfigureScheme(groupName, groupVersion string) error {
	return kube.RegisterTypes(groupName, groupVersion)
}
