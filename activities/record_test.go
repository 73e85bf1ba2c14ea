package activities_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

var began = time.Date(2026, 11, 22, 12, 0, 0, 500, time.UTC)

func failedRun() activities.RecordOutcomeInput {
	return activities.RecordOutcomeInput{Ref: checkRef, UUID: runUUID, Tick: began.Truncate(time.Second).Add(-2 * time.Second), Conclusion: check.Conclusion{
		Outcome: check.Failed, Errors: []string{"cart is empty"}, Reported: true, Node: "node-1",
		Started: began, Concluded: began.Add(1500 * time.Millisecond),
	}}
}

// stateOf is a state that shows a run which began then.
func stateOf(started time.Time) *khv1.KuberhealthyState {
	return &khv1.KuberhealthyState{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "cart", ResourceVersion: "41", Labels: map[string]string{"team": "shop"},
		Annotations: map[string]string{check.AnnotationRunStarted: started.Format(time.RFC3339Nano)},
	}}
}

// states runs the activity on a cluster with that state, and returns what it writes, nil for nothing.
func states(t *testing.T, present *khv1.KuberhealthyState, in activities.RecordOutcomeInput) *khv1.KuberhealthyState {
	t.Helper()
	return statesIn(t, &fakeCluster{}, present, in)
}

func statesIn(t *testing.T, cluster *fakeCluster, present *khv1.KuberhealthyState, in activities.RecordOutcomeInput) (written *khv1.KuberhealthyState) {
	t.Helper()
	cluster.workload = func(check.Ref) (check.Workload, bool, error) { return validCheck(), true, nil }
	cluster.writeState = func(namespace, name string, build func(*khv1.KuberhealthyState) *khv1.KuberhealthyState) error {
		if namespace != "shop" || name != "cart" {
			t.Errorf("writes state %s/%s, want shop/cart", namespace, name)
		}
		written = build(present)
		return nil
	}
	a, env := worker(cluster)
	encoded, err := env.ExecuteActivity(a.RecordOutcome, in)
	if got := value[activities.RecordOutcomeResult](t, encoded, err); got.CheckGone {
		t.Error("the result says that the check was deleted")
	}
	return written
}

// recorded is the state that shows failedRun.
func recorded() *khv1.KuberhealthyState {
	at, kind, controller := metav1.NewTime(failedRun().Conclusion.Concluded.Truncate(time.Second)), khv1.KHCheck, true
	return &khv1.KuberhealthyState{
		TypeMeta: metav1.TypeMeta{APIVersion: "comcast.github.io/v1", Kind: "KuberhealthyState"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "cart",
			Annotations: map[string]string{
				check.AnnotationRunStarted: "2026-11-22T12:00:00.0000005Z",
				check.AnnotationGeneration: "2",
				check.AnnotationRecentRuns: `[{"tick":"2026-11-22T11:59:58Z","started":"2026-11-22T12:00:00Z","outcome":"failed","seconds":1.5}]`,
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "comcast.github.io/v1", Kind: "KuberhealthyCheck", Name: "cart", UID: "u-1", Controller: &controller,
			}},
		},
		Spec: khv1.WorkloadDetails{
			Errors: []string{"cart is empty"}, RunDuration: "1.5s", Namespace: "shop", Node: "node-1", LastRun: &at,
			AuthoritativePod: recorder, CurrentUUID: runUUID, KHWorkload: &kind,
		},
	}
}

func TestRecordOutcome(t *testing.T) {
	kept := func(s *khv1.KuberhealthyState) *khv1.KuberhealthyState {
		s.ResourceVersion, s.Labels = "41", map[string]string{"team": "shop"}
		return s
	}
	unchanged := func(s *khv1.KuberhealthyState) *khv1.KuberhealthyState { return s }
	nothing := func(*khv1.KuberhealthyState) *khv1.KuberhealthyState { return nil }
	tests := []struct {
		name    string
		present *khv1.KuberhealthyState
		want    func(*khv1.KuberhealthyState) *khv1.KuberhealthyState
	}{
		{"first outcome", nil, unchanged},
		{"state shows an earlier run", stateOf(began.Add(-time.Hour)), kept},
		{"state shows this run: its outcome is amended", stateOf(began), kept},
		{"state shows a later run", stateOf(began.Add(time.Nanosecond)), nothing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want(recorded()), states(t, tt.present, failedRun())); diff != "" {
				t.Errorf("written state differs (-want +got):\n%s", diff)
			}
		})
	}
}

// A state lists its last runs. A run whose outcome is amended is one run, and has its last outcome.
func TestRecordOutcomeTellsOfTheLastRuns(t *testing.T) {
	var present *khv1.KuberhealthyState
	in := failedRun()
	for range 12 {
		in.Tick, in.Conclusion.Started, in.Conclusion.Concluded = in.Tick.Add(time.Minute), in.Conclusion.Started.Add(time.Minute), in.Conclusion.Concluded.Add(time.Minute)
		present = states(t, present, in)
	}
	in.Conclusion.Outcome = check.TimedOut
	runs := check.RecentRuns(states(t, present, in))
	if len(runs) != check.MaxRecentRuns || runs[9] != check.NewRecentRun(in.Tick, in.Conclusion) || runs[8].Outcome != check.Failed || runs[8].Started.Equal(runs[9].Started) {
		t.Errorf("%d runs, the last are %+v", len(runs), runs[len(runs)-2:])
	}
	in.Tick = time.Time{} // of a run whose tick is not known
	if runs := check.RecentRuns(states(t, nil, in)); len(runs) != 1 || !runs[0].Tick.IsZero() {
		t.Errorf("runs are %+v, want one without a tick", runs)
	}
}

// A report may come before the event that the pod runs. By then the cache knows the node of the pod.
func TestRecordOutcomeFindsTheNodeOfTheRunsPod(t *testing.T) {
	in := failedRun()
	in.Conclusion.Node = ""
	for name, want := range map[string]string{"cart-1": "node-2", "cart-0": "", "": ""} {
		in.Pod = name
		if got := statesIn(t, &fakeCluster{pod: placedPod()}, nil, in); got.Spec.Node != want {
			t.Errorf("node of a run with the pod %q is %q, want %q", name, got.Spec.Node, want)
		}
	}
}

func placedPod() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "cart-1"}, Spec: corev1.PodSpec{NodeName: "node-2"}}
}

func TestRecordOutcomeDoesNotChangeTheCachedState(t *testing.T) {
	present := stateOf(began)
	states(t, present, failedRun())
	if diff := cmp.Diff(stateOf(began), present); diff != "" {
		t.Errorf("the cached state changed (-before +after):\n%s", diff)
	}
}

// Kuberhealthy writes the names of states in lower case without blanks, although no object can have another name today.
func TestRecordOutcomeNamesTheStateAsKuberhealthyDoes(t *testing.T) {
	in := failedRun()
	in.Ref.Name = "Cart"
	if got := states(t, nil, in); got.Name != "cart" {
		t.Errorf("state is named %q, want cart", got.Name)
	}
}

// A check that was replaced by another one of its name counts as deleted: its outcome is not that of the new check.
func TestRecordOutcomeOfACheckThatIsGoneWritesNothing(t *testing.T) {
	a, env := worker(&fakeCluster{workload: absent}) // writing would panic
	encoded, err := env.ExecuteActivity(a.RecordOutcome, failedRun())
	if got := value[activities.RecordOutcomeResult](t, encoded, err); !got.CheckGone {
		t.Errorf("result is %+v, want CheckGone", got)
	}
}

// exports has what was exported.
type exports []activities.RecordOutcomeInput

func (e *exports) Export(ref check.Ref, conclusion check.Conclusion) {
	*e = append(*e, activities.RecordOutcomeInput{Ref: ref, Conclusion: conclusion})
}

// terminating is the refusal of an object in a namespace that is being deleted.
func terminating() error {
	err := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "cart", errors.New("namespace shop is being terminated"))
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	return fmt.Errorf("create: %w", err)
}

// Nothing can be made in a namespace that is being deleted, and its checks are about to go. So nothing is tried again.
func TestCheckInANamespaceThatIsDeletedCountsAsDeleted(t *testing.T) {
	a, env := worker(&fakeCluster{
		workload:     present(validCheck()),
		createPod:    func(*corev1.Pod) (*corev1.Pod, error) { return nil, terminating() },
		withoutState: []check.Ref{checkRef},
		writeState: func(string, string, func(*khv1.KuberhealthyState) *khv1.KuberhealthyState) error {
			return terminating()
		},
	})
	encoded, err := env.ExecuteActivity(a.CreatePod, attempt(1))
	if got := value[activities.CreatePodResult](t, encoded, err); !got.CheckGone || got.Failure != nil {
		t.Errorf("creation of the pod: %+v", got)
	}
	encoded, err = env.ExecuteActivity(a.RecordOutcome, failedRun())
	if got := value[activities.RecordOutcomeResult](t, encoded, err); !got.CheckGone {
		t.Errorf("record of the outcome: %+v", got)
	}
}

func TestRecordOutcomeExportsWhatItWrote(t *testing.T) {
	in := failedRun()
	found := in.Conclusion
	found.Node = "node-2"
	written := []activities.RecordOutcomeInput{{Ref: checkRef, Conclusion: found}}
	refused := errors.New("connection refused")
	tests := []struct {
		name     string
		workload func(check.Ref) (check.Workload, bool, error)
		// presents are the states that the activity finds, one for each try. The last try ends with err.
		presents []*khv1.KuberhealthyState
		err      error
		want     []activities.RecordOutcomeInput
	}{
		{"first outcome", present(validCheck()), []*khv1.KuberhealthyState{nil}, nil, written},
		{"the state shows an earlier run", present(validCheck()), []*khv1.KuberhealthyState{stateOf(began.Add(-time.Hour))}, nil, written},
		{"the state shows this run", present(validCheck()), []*khv1.KuberhealthyState{stateOf(began)}, nil, written},
		{"the state shows a later run", present(validCheck()), []*khv1.KuberhealthyState{stateOf(began.Add(time.Hour))}, nil, nil},
		{"a later run was faster", present(validCheck()), []*khv1.KuberhealthyState{nil, stateOf(began.Add(time.Hour))}, nil, nil},
		{"an earlier run was faster", present(validCheck()), []*khv1.KuberhealthyState{nil, stateOf(began.Add(-time.Hour))}, nil, written},
		{"the state cannot be written", present(validCheck()), []*khv1.KuberhealthyState{nil}, refused, nil},
		{"the check is gone", absent, nil, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cluster := &fakeCluster{workload: tt.workload, pod: placedPod()}
			cluster.writeState = func(_, _ string, build func(*khv1.KuberhealthyState) *khv1.KuberhealthyState) error {
				for _, shown := range tt.presents {
					build(shown)
				}
				return tt.err
			}
			var got exports
			a, env := worker(cluster)
			a.Exporter = &got
			unplaced := in
			unplaced.Conclusion.Node, unplaced.Pod = "", "cart-1"
			if _, err := env.ExecuteActivity(a.RecordOutcome, unplaced); (err != nil) != (tt.err != nil) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, []activities.RecordOutcomeInput(got)); diff != "" {
				t.Errorf("exports differ (-want +got):\n%s", diff)
			}
		})
	}
}

// An outcome that a further attempt may change is shown, but not exported.
func TestProvisionalOutcomeIsShownAndNotExported(t *testing.T) {
	var written *khv1.KuberhealthyState
	var got exports
	a, env := worker(&fakeCluster{
		workload: present(validCheck()),
		writeState: func(_, _ string, build func(*khv1.KuberhealthyState) *khv1.KuberhealthyState) error {
			written = build(nil)
			return nil
		},
	})
	a.Exporter = &got
	in := failedRun()
	in.Provisional = true
	if _, err := env.ExecuteActivity(a.RecordOutcome, in); err != nil || written == nil || len(got) > 0 {
		t.Errorf("error %v, state %v, exports %v, want the state alone", err, written, got)
	}
}

// A program may ask for a run of something that can have no state, and that run must end too. The state of a check in the
// cluster can be written once the cause of the error is corrected.
func TestRecordOutcomeEndsWhereThereCanBeNoState(t *testing.T) {
	states, namespaces := schema.GroupResource{Group: "comcast.github.io", Resource: "khstates"}, schema.GroupResource{Resource: "namespaces"}
	tests := []struct {
		name   string
		answer error
		ends   bool
	}{
		{"the name is not valid", apierrors.NewInvalid(schema.GroupKind{Kind: "KuberhealthyState"}, "my_check", nil), true},
		{"the request is not valid", apierrors.NewBadRequest("the name is too long"), true},
		{"the state is too large", apierrors.NewRequestEntityTooLargeError("limit is 3145728"), true},
		{"the namespace is not there", apierrors.NewNotFound(namespaces, "shop"), true},
		{"the namespace is not the worker's", apierrors.NewForbidden(states, "cart", errors.New("no")), true},

		{"the state went while it was written", apierrors.NewNotFound(states, "cart"), false},
		{"other writers were faster", apierrors.NewAlreadyExists(states, "cart"), false},
		{"API server is down", apierrors.NewServiceUnavailable("starting"), false},
		{"connection refused", syscall.ECONNREFUSED, false},
	}
	for _, tt := range tests {
		for _, inCluster := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in the cluster: %t", tt.name, inCluster), func(t *testing.T) {
				a, env := worker(&fakeCluster{
					workload: present(validCheck()),
					writeState: func(_, _ string, build func(*khv1.KuberhealthyState) *khv1.KuberhealthyState) error {
						build(nil)
						return fmt.Errorf("write khstate shop/cart: %w", tt.answer)
					},
				})
				var got exports
				a.Exporter = &got
				in := failedRun()
				if !inCluster {
					in.Ref.UID = ""
				}
				if _, err := env.ExecuteActivity(a.RecordOutcome, in); (err == nil) != (tt.ends && !inCluster) {
					t.Errorf("error %v, want none: %t", err, tt.ends && !inCluster)
				}
				if len(got) > 0 {
					t.Errorf("exported %v, want nothing", got)
				}
			})
		}
	}
}

func TestRecordOutcomeThatFailsIsTriedAgain(t *testing.T) {
	refused := errors.New("connection refused")
	tests := []struct {
		name    string
		cluster fakeCluster
	}{
		{"check cannot be read", fakeCluster{workload: func(check.Ref) (check.Workload, bool, error) {
			return check.Workload{}, false, refused
		}}},
		{"state cannot be written", fakeCluster{
			workload: present(validCheck()),
			writeState: func(string, string, func(*khv1.KuberhealthyState) *khv1.KuberhealthyState) error {
				return refused
			},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, env := worker(&tt.cluster)
			if _, err := env.ExecuteActivity(a.RecordOutcome, failedRun()); err == nil || !strings.Contains(err.Error(), "connection refused") {
				t.Errorf("error %v, want one to be tried again", err)
			}
		})
	}
}

func TestSetJobPhase(t *testing.T) {
	tests := []struct {
		name   string
		answer error
	}{
		{"written", nil},
		{"API server is down", errors.New("connection refused")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []activities.SetJobPhaseInput
			a, env := worker(&fakeCluster{setJobPhase: func(ref check.Ref, phase khv1.JobPhase) error {
				got = append(got, activities.SetJobPhaseInput{Ref: ref, Phase: phase})
				return tt.answer
			}})
			in := activities.SetJobPhaseInput{Ref: jobRef, Phase: khv1.JobCompleted}
			_, err := env.ExecuteActivity(a.SetJobPhase, in)
			if (err != nil) != (tt.answer != nil) {
				t.Errorf("error %v, want %v", err, tt.answer)
			}
			if diff := cmp.Diff([]activities.SetJobPhaseInput{in}, got); diff != "" {
				t.Errorf("written phases differ (-want +got):\n%s", diff)
			}
		})
	}
}
