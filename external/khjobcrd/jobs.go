package khjobcrd

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/khronicle/khronicle/kube"
)

// KuberhealthyJobsGetter gives the clients of the jobs of each namespace.
type KuberhealthyJobsGetter interface {
	KuberhealthyJobs(namespace string) KuberhealthyJobInterface
}

// KuberhealthyJobInterface reads and writes the jobs of one namespace. Each call is one request, whose error is the API
// server's own; with an error, the object is empty. Options may be nil.
type KuberhealthyJobInterface interface {
	// Create adds a job and returns it as the API server has it.
	Create(*KuberhealthyJob) (KuberhealthyJob, error)
	// Update replaces a job and returns it as the API server has it. The error is a conflict when the job was read
	// before the last change.
	Update(*KuberhealthyJob) (KuberhealthyJob, error)
	// Delete deletes a job.
	Delete(name string, options *metav1.DeleteOptions) error
	// DeleteCollection deletes the jobs that List would return.
	DeleteCollection(options *metav1.DeleteOptions, listOptions metav1.ListOptions) error
	// Get returns a job.
	Get(name string, options metav1.GetOptions) (KuberhealthyJob, error)
	// List returns jobs.
	List(opts metav1.ListOptions) (KuberhealthyJobList, error)
	// Watch returns the changes of jobs until it is stopped or the API server ends it.
	Watch(opts metav1.ListOptions) (watch.Interface, error)
	// Patch changes a job and returns it as the API server has it. Custom resources take JSON patches and merge patches.
	Patch(name string, pt types.PatchType, data []byte, subresources ...string) (result KuberhealthyJob, err error)
}

// jobs gives values where the client of kube gives pointers, and takes no context.
type jobs struct{ client *kube.JobClient }

func (j jobs) Create(job *KuberhealthyJob) (KuberhealthyJob, error) {
	created, err := j.client.Create(context.Background(), job, metav1.CreateOptions{})
	return *created, err
}

func (j jobs) Update(job *KuberhealthyJob) (KuberhealthyJob, error) {
	updated, err := j.client.Update(context.Background(), job, metav1.UpdateOptions{})
	return *updated, err
}

func (j jobs) Delete(name string, options *metav1.DeleteOptions) error {
	return j.client.Delete(context.Background(), name, orNone(options))
}

func (j jobs) DeleteCollection(options *metav1.DeleteOptions, listOptions metav1.ListOptions) error {
	return j.client.DeleteCollection(context.Background(), orNone(options), listOptions)
}

func (j jobs) Get(name string, options metav1.GetOptions) (KuberhealthyJob, error) {
	job, err := j.client.Get(context.Background(), name, options)
	return *job, err
}

func (j jobs) List(opts metav1.ListOptions) (KuberhealthyJobList, error) {
	list, err := j.client.List(context.Background(), opts)
	return *list, err
}

func (j jobs) Watch(opts metav1.ListOptions) (watch.Interface, error) {
	return j.client.Watch(context.Background(), opts)
}

func (j jobs) Patch(name string, pt types.PatchType, data []byte, subresources ...string) (KuberhealthyJob, error) {
	job, err := j.client.Patch(context.Background(), name, pt, data, metav1.PatchOptions{}, subresources...)
	return *job, err
}

func orNone(options *metav1.DeleteOptions) metav1.DeleteOptions {
	if options == nil {
		return metav1.DeleteOptions{}
	}
	return *options
}
