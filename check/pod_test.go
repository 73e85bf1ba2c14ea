package check_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/test/golden"
)

// userWorkload is a check that uses every field and tries to set what belongs to the contract.
func userWorkload() check.Workload {
	return check.Workload{
		Ref:     checkRef,
		Timeout: "2m",
		PodSpec: corev1.PodSpec{
			RestartPolicy:      corev1.RestartPolicyAlways,
			ServiceAccountName: "prober",
			InitContainers: []corev1.Container{{
				Name: "prepare", Image: "busybox:1", Env: []corev1.EnvVar{{Name: "KH_RUN_UUID", Value: "of the user"}},
			}},
			Containers: []corev1.Container{
				{Name: "main", Image: "dns:1", Env: []corev1.EnvVar{
					{Name: "KH_REPORTING_URL", Value: "http://of.the.user"},
					{Name: "HOSTNAME", Value: "example.org"},
					{Name: "KH_RUN_UUID", Value: "of the user"},
					{Name: "KH_CHECK_RUN_DEADLINE", Value: "1"},
					{Name: "KH_POD_NAMESPACE", Value: "of the user"},
					{Name: "KH_OTHER", Value: "$(HOSTNAME)"},
				}},
				{Name: "side", Image: "side:1"},
			},
		},
		ExtraLabels:      map[string]string{"team": "net", "app": "mine", "kuberhealthy-run-id": "mine"},
		ExtraAnnotations: map[string]string{"note": "kept", "comcast.github.io/check-name": "mine"},
	}
}

func testRun() check.Attempt {
	return check.Attempt{
		UUID: runUUID, Attempt: 1, Deadline: now.Add(2 * time.Minute),
		ReportingURL: "http://kuberhealthy.kuberhealthy.svc.cluster.local/externalCheckStatus",
	}
}

func TestNewPodIsWholeAndOfTheContract(t *testing.T) {
	text, err := yaml.Marshal(check.NewPod(userWorkload(), testRun(), now))
	if err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, "pod.yaml", text)
}

func TestNewPodOfASmallJob(t *testing.T) {
	w := check.Workload{Ref: jobRef, PodSpec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	want := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   "ns",
			Name:        "smoke-" + check.ShortHash(runUUID),
			Labels:      map[string]string{"kuberhealthy-run-id": runUUID, "kuberhealthy-check-name": "smoke", "app": "kuberhealthy-check"},
			Annotations: map[string]string{"comcast.github.io/check-name": "smoke"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "comcast.github.io/v1", Kind: "KuberhealthyJob", Name: "smoke", UID: "uid-2", Controller: ptr(true),
			}},
		},
		Spec: corev1.PodSpec{
			RestartPolicy:         corev1.RestartPolicyNever,
			ActiveDeadlineSeconds: ptr(int64(150)),
			Containers: []corev1.Container{{Name: "c", Image: "i", Env: []corev1.EnvVar{
				{Name: "KH_REPORTING_URL", Value: "http://kuberhealthy.kuberhealthy.svc.cluster.local/externalCheckStatus"},
				{Name: "KH_RUN_UUID", Value: runUUID},
				{Name: "KH_POD_NAMESPACE", ValueFrom: &corev1.EnvVarSource{
					FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
				}},
				{Name: "KH_CHECK_RUN_DEADLINE", Value: "1795348920"},
			}}},
		},
	}
	if diff := cmp.Diff(want, check.NewPod(w, testRun(), now)); diff != "" {
		t.Errorf("pod differs (-want +got):\n%s", diff)
	}
}

func TestNewPodLeavesItsInputAlone(t *testing.T) {
	w := userWorkload()
	pod := check.NewPod(w, testRun(), now)
	if diff := cmp.Diff(userWorkload(), w); diff != "" {
		t.Errorf("the workload was changed (-want +got):\n%s", diff)
	}
	// The pod may not share memory with the workload, which is in a cache that others read.
	pod.Labels["team"], pod.Annotations["note"] = "changed", "changed"
	pod.Spec.Containers[0].Env[0].Value = "changed"
	pod.Spec.InitContainers[0].Image = "changed"
	if diff := cmp.Diff(userWorkload(), w); diff != "" {
		t.Errorf("the pod shares memory with the workload (-want +got):\n%s", diff)
	}
}

func TestNewPodReportsToThePathOfItsCheck(t *testing.T) {
	w := check.Workload{Ref: jobRef, ReportPath: "/check", PodSpec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	got := check.NewPod(w, testRun(), now).Spec.Containers[0].Env[0]
	if want := "http://kuberhealthy.kuberhealthy.svc.cluster.local/check"; got.Value != want {
		t.Errorf("%s is %s, want %s", got.Name, got.Value, want)
	}
}

func TestNewPodDeadlineBacksUpTheRun(t *testing.T) {
	tests := []struct {
		name string
		user *int64
		now  time.Time
		want int64
	}{
		{"none of the user", nil, now, 150},
		{"the user's is shorter", ptr(int64(20)), now, 20},
		{"the user's is longer", ptr(int64(3600)), now, 150},
		{"the same", ptr(int64(150)), now, 150},
		{"part of the run is over", nil, now.Add(90 * time.Second), 60},
		{"whole seconds", nil, now.Add(500 * time.Millisecond), 149},
		{"the clocks differ by more than the slack", nil, now.Add(time.Hour), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := userWorkload()
			w.PodSpec.ActiveDeadlineSeconds = tt.user
			got := check.NewPod(w, testRun(), tt.now).Spec.ActiveDeadlineSeconds
			if got == nil || *got != tt.want {
				t.Errorf("activeDeadlineSeconds is %v, want %d", got, tt.want)
			}
			if tt.user != nil && w.PodSpec.ActiveDeadlineSeconds != tt.user {
				t.Error("the user's deadline was changed in place")
			}
		})
	}
}

func TestNewPodKeepsAwayFromNodes(t *testing.T) {
	term := func(names ...string) corev1.PreferredSchedulingTerm {
		term := corev1.PreferredSchedulingTerm{Weight: 100}
		for _, name := range names {
			term.Preference.MatchFields = append(term.Preference.MatchFields, corev1.NodeSelectorRequirement{
				Key: "metadata.name", Operator: corev1.NodeSelectorOpNotIn, Values: []string{name},
			})
		}
		return term
	}
	own := corev1.PreferredSchedulingTerm{Weight: 1}
	with := func(terms ...corev1.PreferredSchedulingTerm) *corev1.Affinity {
		return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: terms}}
	}
	for name, tt := range map[string]struct {
		spec, want *corev1.Affinity
		avoid      []string
	}{
		"none to avoid":             {nil, nil, nil},
		"affinity of the spec":      {with(own), with(own), nil},
		"one node":                  {nil, with(term("a")), []string{"a"}},
		"two nodes":                 {&corev1.Affinity{}, with(term("a", "b")), []string{"a", "b"}},
		"beside that of the spec":   {with(own), with(own, term("a")), []string{"a"}},
		"affinity between the pods": {&corev1.Affinity{PodAffinity: &corev1.PodAffinity{}}, &corev1.Affinity{PodAffinity: &corev1.PodAffinity{}, NodeAffinity: with(term("a")).NodeAffinity}, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := check.Workload{PodSpec: corev1.PodSpec{Affinity: tt.spec}}
			before := tt.spec.DeepCopy()
			pod := check.NewPod(w, check.Attempt{UUID: runUUID, Attempt: 2, Avoid: tt.avoid}, time.Now())
			if diff := cmp.Diff(tt.want, pod.Spec.Affinity); diff != "" {
				t.Errorf("affinity (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, tt.spec); diff != "" {
				t.Errorf("the spec of the check was changed:\n%s", diff)
			}
		})
	}
}

func TestOwnersOf(t *testing.T) {
	tests := []struct {
		name string
		ref  check.Ref
		want []metav1.OwnerReference
	}{
		{"check", checkRef, []metav1.OwnerReference{{
			APIVersion: "comcast.github.io/v1", Kind: "KuberhealthyCheck", Name: "dns", UID: "uid-1", Controller: ptr(true),
		}}},
		{"job", jobRef, []metav1.OwnerReference{{
			APIVersion: "comcast.github.io/v1", Kind: "KuberhealthyJob", Name: "smoke", UID: "uid-2", Controller: ptr(true),
		}}},
		{"a check that is not in the cluster", check.Ref{Kind: khv1.KHCheck, Namespace: "ns", Name: "dns"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, check.OwnersOf(tt.ref)); diff != "" {
				t.Errorf("owner differs (-want +got):\n%s", diff)
			}
			if got := check.KindOf(tt.want); tt.want != nil && got != tt.ref.Kind || tt.want == nil && got != "" {
				t.Errorf("the owner is taken for a %q", got)
			}
		})
	}
}

func TestFromCheckAndFromJob(t *testing.T) {
	labels, annotations := map[string]string{"a": "1"}, map[string]string{"b": "2"}
	reportPath := map[string]string{"khronicle.github.io/report-path": "/check"}
	spec := corev1.PodSpec{NodeName: "n"}
	c := &khv1.KuberhealthyCheck{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "dns", UID: "uid-1", Generation: 3, Annotations: reportPath},
		Spec: khv1.CheckConfig{
			RunInterval: "1m", Timeout: "2m", PodSpec: spec, ExtraLabels: labels, ExtraAnnotations: annotations,
			Schedule: "* * * * *", TimeZone: "UTC",
		},
	}
	j := &khv1.KuberhealthyJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "smoke", UID: "uid-2", Generation: 1, Annotations: reportPath},
		Spec:       khv1.JobConfig{Timeout: "2m", PodSpec: spec, ExtraLabels: labels, ExtraAnnotations: annotations},
	}
	want := check.Workload{Timeout: "2m", PodSpec: spec, ExtraLabels: labels, ExtraAnnotations: annotations, ReportPath: "/check"}
	wantCheck, wantJob := want, want
	wantCheck.Ref, wantJob.Ref = checkRef, jobRef
	wantCheck.Schedule = &check.ScheduleSpec{RunInterval: "1m", Schedule: "* * * * *", TimeZone: "UTC"}
	if diff := cmp.Diff(wantCheck, check.FromCheck(c)); diff != "" {
		t.Errorf("check differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantJob, check.FromJob(j)); diff != "" {
		t.Errorf("job differs (-want +got):\n%s", diff)
	}
}
