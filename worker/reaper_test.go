package worker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// fakeJanitor is a cluster that lists what was deleted, and refuses to delete what is in refuse.
type fakeJanitor struct {
	pods   []*corev1.Pod
	jobs   []*khv1.KuberhealthyJob
	checks []string
	states []*khv1.KuberhealthyState
	// live are checks that the API server has and the cache does not.
	live    []string
	refuse  map[string]error
	deleted []string
	asked   int
}

func (f *fakeJanitor) Pods() []*corev1.Pod {
	f.asked++
	return f.pods
}

func (f *fakeJanitor) Jobs() []*khv1.KuberhealthyJob { return f.jobs }

func (f *fakeJanitor) DeletePod(_ context.Context, namespace, name string) error {
	return f.delete("pod " + namespace + "/" + name)
}

func (f *fakeJanitor) DeleteJob(_ context.Context, job *khv1.KuberhealthyJob) error {
	return f.delete("job " + job.Namespace + "/" + job.Name)
}

func (f *fakeJanitor) Check(_, name string) (*khv1.KuberhealthyCheck, bool) {
	return nil, slices.Contains(f.checks, name)
}

func (f *fakeJanitor) Job(_, name string) (*khv1.KuberhealthyJob, bool) {
	return nil, slices.ContainsFunc(f.jobs, func(j *khv1.KuberhealthyJob) bool { return j.Name == name })
}

func (f *fakeJanitor) Lives(_ context.Context, _, name string) (bool, error) {
	return slices.Contains(f.live, name), f.refuse["find "+name]
}

func (f *fakeJanitor) States() []*khv1.KuberhealthyState { return f.states }

func (f *fakeJanitor) DeleteState(_ context.Context, state *khv1.KuberhealthyState) error {
	return f.delete("state " + state.Namespace + "/" + state.Name)
}

// left is a state that Kuberhealthy wrote long ago, changed.
func left(name string, changes ...func(*khv1.KuberhealthyState)) *khv1.KuberhealthyState {
	state := &khv1.KuberhealthyState{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(now.Add(-1000 * time.Hour)),
	}}
	for _, change := range changes {
		change(state)
	}
	return state
}

func owned(s *khv1.KuberhealthyState) { s.OwnerReferences = []metav1.OwnerReference{{Name: "x"}} }

func ours(s *khv1.KuberhealthyState) {
	s.Annotations = map[string]string{check.AnnotationRunStarted: "x"}
}

func (f *fakeJanitor) delete(what string) error {
	f.deleted = append(f.deleted, what)
	return f.refuse[what]
}

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func pod(name string, phase corev1.PodPhase, age time.Duration) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: name, CreationTimestamp: metav1.NewTime(now.Add(-age)),
			Labels: map[string]string{"kuberhealthy-check-name": "dns"},
		},
		Status: corev1.PodStatus{Phase: phase},
	}
}

// limited gives a pod a deadline of its own, five minutes after its start.
func limited(pod *corev1.Pod) *corev1.Pod {
	limit := int64(300)
	pod.Spec.ActiveDeadlineSeconds = &limit
	return pod
}

func job(name string, phase khv1.JobPhase, age time.Duration) *khv1.KuberhealthyJob {
	return &khv1.KuberhealthyJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, CreationTimestamp: metav1.NewTime(now.Add(-age))},
		Spec:       khv1.JobConfig{Phase: phase},
	}
}

func TestReap(t *testing.T) {
	refused := errors.New("forbidden")
	tests := []struct {
		name    string
		cluster fakeJanitor
		want    []string
		logged  []string
	}{
		{name: "nothing there"},
		{
			name: "a pod that has just ended is left to its run",
			cluster: fakeJanitor{pods: []*corev1.Pod{
				pod("a", corev1.PodFailed, 59*time.Second), pod("b", corev1.PodFailed, 58*time.Second), pod("c", corev1.PodFailed, time.Minute), pod("d", corev1.PodFailed, 57*time.Second),
			}},
			want: []string{"pod ns/c"},
		},
		{
			name: "nothing too old",
			cluster: fakeJanitor{
				pods: []*corev1.Pod{pod("a", corev1.PodSucceeded, time.Minute), pod("b", corev1.PodRunning, 100*time.Hour)},
				jobs: []*khv1.KuberhealthyJob{job("a", khv1.JobCompleted, time.Minute), job("b", khv1.JobRunning, time.Hour)},
			},
		},
		{
			name: "surplus pods and old jobs",
			cluster: fakeJanitor{
				pods: []*corev1.Pod{
					pod("1", corev1.PodFailed, 1*time.Minute), pod("2", corev1.PodFailed, 2*time.Minute), pod("3", corev1.PodFailed, 3*time.Minute),
					pod("4", corev1.PodSucceeded, 73*time.Hour),
				},
				jobs: []*khv1.KuberhealthyJob{job("old", khv1.JobCompleted, time.Hour), job("new", khv1.JobCompleted, time.Minute)},
			},
			want: []string{"pod ns/3", "pod ns/4", "job ns/old"},
		},
		{
			name: "pods that outlived their run",
			cluster: fakeJanitor{pods: []*corev1.Pod{
				limited(pod("stuck", corev1.PodRunning, 11*time.Minute)), limited(pod("new", corev1.PodPending, time.Minute)),
			}},
			want: []string{"pod ns/stuck"},
		},
		{
			name: "a refusal is logged and the rest goes on",
			cluster: fakeJanitor{
				pods:   []*corev1.Pod{pod("a", corev1.PodSucceeded, 74*time.Hour), pod("b", corev1.PodSucceeded, 75*time.Hour)},
				jobs:   []*khv1.KuberhealthyJob{job("a", khv1.JobCompleted, time.Hour), job("b", khv1.JobCompleted, time.Hour)},
				refuse: map[string]error{"pod ns/a": refused, "job ns/a": refused},
			},
			want:   []string{"pod ns/a", "pod ns/b", "job ns/a", "job ns/b"},
			logged: []string{`msg="reap pod" namespace=ns pod=a error=forbidden`, `msg="reap job" namespace=ns check=a error=forbidden`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			r := reaper{
				cluster: &tt.cluster,
				retention: func() check.Retention {
					return check.Retention{MaxCompletedPods: 4, MaxErrorPods: 2, MaxPodAge: 72 * time.Hour, MaxJobAge: 15 * time.Minute}
				},
				logger: slog.New(slog.NewTextHandler(&log, nil)),
			}
			r.reap(t.Context(), now)
			if diff := cmp.Diff(tt.want, tt.cluster.deleted); diff != "" {
				t.Errorf("deleted differs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(1, tt.cluster.asked); diff != "" {
				t.Errorf("not all pods of all namespaces were looked at (-want +got):\n%s", diff)
			}
			for _, want := range tt.logged {
				if !strings.Contains(log.String(), want) {
					t.Errorf("the log lacks %q:\n%s", want, &log)
				}
			}
			if got := strings.Count(log.String(), "\n"); got != len(tt.logged) {
				t.Errorf("%d lines logged, want %d:\n%s", got, len(tt.logged), &log)
			}
		})
	}
}

func TestReaperRunsAtItsInterval(t *testing.T) {
	tests := []struct {
		name         string
		every, after time.Duration
		want         int
	}{
		{"not at once", time.Minute, 59 * time.Second, 0},
		{"after the interval", time.Minute, 61 * time.Second, 1},
		{"again and again", time.Minute, 301 * time.Second, 5},
		{"0 is the default", 0, 61 * time.Second, 2},
		{"below 0 is the default", -time.Second, 61 * time.Second, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := &fakeJanitor{}
				ctx, cancel := context.WithTimeout(t.Context(), tt.after)
				defer cancel()
				r := reaper{cluster: cluster, retention: check.DefaultRetention, logger: slog.New(slog.DiscardHandler)}
				r.run(ctx, tt.every)
				if got := cluster.asked; got != tt.want {
					t.Errorf("looked %d times in %s, want %d", got, tt.after, tt.want)
				}
			})
		})
	}
}

// A run does not prune: only the reaper does. When the run of a surplus pod no longer reads evidence from it, the pod is
// deleted within an interval.
func TestSurplusPodsGoWithinAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every = 30 * time.Second
		began := time.Now()
		cluster := &endingJanitor{gone: map[string]time.Duration{}}
		for n := range 40 { // a check each 10 s, all of whose pods fail
			pod := pod(strconv.Itoa(n), corev1.PodFailed, 0)
			pod.CreationTimestamp = metav1.NewTime(began.Add(time.Duration(n) * 10 * time.Second))
			cluster.coming = append(cluster.coming, pod)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
		defer cancel()
		r := reaper{cluster: cluster, retention: check.DefaultRetention, logger: slog.New(slog.DiscardHandler)}
		r.run(ctx, every)
		for n := range 40 {
			age, gone := cluster.gone[strconv.Itoa(n)]
			if kept := n >= 36; gone == kept || gone && (age < justEnded || age > justEnded+every) {
				t.Errorf("pod %d is deleted: %t, %s after its end; want the last 4 to stay and the others deleted from 1m0s to 1m30s after", n, gone, age)
			}
		}
	})
}

// endingJanitor is a cluster whose pods end one after another. It notes how long after its end each of them is deleted.
type endingJanitor struct {
	fakeJanitor
	coming []*corev1.Pod
	gone   map[string]time.Duration
}

func (e *endingJanitor) Pods() (there []*corev1.Pod) {
	for _, pod := range e.coming {
		if _, gone := e.gone[pod.Name]; !gone && !pod.CreationTimestamp.After(time.Now()) {
			there = append(there, pod)
		}
	}
	return there
}

func (e *endingJanitor) DeletePod(_ context.Context, _, name string) error {
	for _, pod := range e.coming {
		if pod.Name == name {
			e.gone[name] = time.Since(pod.CreationTimestamp.Time)
		}
	}
	return nil
}

// Each of 3,000 checks has five pods.
func BenchmarkReapOf15000Pods(b *testing.B) {
	cluster := &fakeJanitor{}
	for n := range 15000 {
		p := pod(strconv.Itoa(n), corev1.PodSucceeded, time.Duration(n%5+2)*time.Minute)
		p.Labels["kuberhealthy-check-name"] = strconv.Itoa(n / 5)
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			FinishedAt: metav1.NewTime(p.CreationTimestamp.Add(time.Second)),
		}}}}
		cluster.pods = append(cluster.pods, p)
	}
	retention := func() check.Retention { return check.Retention{MaxCompletedPods: 5} }
	r := reaper{cluster: cluster, retention: retention, logger: slog.New(slog.DiscardHandler)}
	b.ReportAllocs()
	for b.Loop() {
		if r.reap(b.Context(), now); len(cluster.deleted) > 0 {
			b.Fatal("nothing is too old here")
		}
	}
}

// The time of the tick decides what is too old.
func TestReaperSeesTimePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := job("a", khv1.JobCompleted, 0)
		old.CreationTimestamp = metav1.NewTime(time.Now())
		cluster := &fakeJanitor{jobs: []*khv1.KuberhealthyJob{old}}
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
		defer cancel()
		retention := func() check.Retention { return check.Retention{MaxJobAge: 90 * time.Second} }
		r := reaper{cluster: cluster, retention: retention, logger: slog.New(slog.DiscardHandler)}
		r.run(ctx, time.Minute)
		if diff := cmp.Diff([]string{"job ns/a"}, cluster.deleted); diff != "" {
			t.Errorf("deleted differs (-want +got):\n%s", diff)
		}
	})
}

// The retention may change while the process runs.
func TestReaperAsksForTheRetentionEachTime(t *testing.T) {
	cluster := &fakeJanitor{jobs: []*khv1.KuberhealthyJob{job("a", khv1.JobCompleted, time.Hour)}}
	limit := 2 * time.Hour
	r := reaper{
		cluster: cluster, logger: slog.New(slog.DiscardHandler),
		retention: func() check.Retention { return check.Retention{MaxJobAge: limit} },
	}
	r.reap(t.Context(), now)
	if cluster.deleted != nil {
		t.Fatalf("deleted %v, want nothing yet", cluster.deleted)
	}
	limit = time.Minute
	r.reap(t.Context(), now)
	if diff := cmp.Diff([]string{"job ns/a"}, cluster.deleted); diff != "" {
		t.Errorf("deleted differs (-want +got):\n%s", diff)
	}
}

func beingDeleted(s *khv1.KuberhealthyState) { s.DeletionTimestamp = &metav1.Time{Time: now} }

// A state without a check or job is deleted within five minutes, whoever wrote it and whatever owns it. Until then, a check
// that is applied after its state finds it.
func TestStatesWithoutACheckAreDeleted(t *testing.T) {
	written := left("written-again")
	cluster := &fakeJanitor{
		checks: []string{"check"}, jobs: []*khv1.KuberhealthyJob{job("job", khv1.JobRunning, time.Hour)},
		states: []*khv1.KuberhealthyState{
			left("check"), left("job"), left("owned", owned), left("ours", ours), left("both", owned, ours), left("orphan"),
			left("applied-later"), left("comes-and-goes"), left("held", beingDeleted), left("unseen"), left("unknown"), written,
		},
		live:   []string{"unseen"},
		refuse: map[string]error{"find unknown": errors.New("down")},
	}
	var log bytes.Buffer
	r := reaper{cluster: cluster, retention: check.DefaultRetention, logger: slog.New(slog.NewTextHandler(&log, nil))}
	for half := range 4 {
		r.reap(t.Context(), now.Add(time.Duration(half)*30*time.Second))
		switch half {
		case 1:
			cluster.checks = append(cluster.checks, "applied-later", "comes-and-goes")
		case 2:
			cluster.checks = slices.DeleteFunc(cluster.checks, func(name string) bool { return name == "comes-and-goes" })
		}
	}
	if len(cluster.deleted) != 0 {
		t.Errorf("deleted %v at once", cluster.deleted)
	}
	written.ResourceVersion = "2" // a program's run that has just ended
	r.reap(t.Context(), now.Add(2*time.Minute))
	if diff := cmp.Diff([]string{"state ns/owned", "state ns/ours", "state ns/both", "state ns/orphan"}, cluster.deleted); diff != "" {
		t.Errorf("deleted differs (-want +got):\n%s", diff)
	}
	if want := `msg="reap state" namespace=ns check=unknown error=down`; strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), want) {
		t.Errorf("the log is %q, want one line with %q", &log, want)
	}
}
