package check_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
)

const secret = "very-secret-value"

// evidencePod has secrets wherever the values of variables and headers can be.
func evidencePod() *corev1.Pod {
	env := []corev1.EnvVar{
		{Name: "TOKEN", Value: secret},
		{Name: "EMPTY"},
		{Name: "FROM", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{Key: "password"}}},
		{Name: "KH_RUN_UUID", Value: runUUID},
	}
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
		HTTPHeaders: []corev1.HTTPHeader{{Name: "Authorization", Value: secret}},
	}}}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "cart-1",
			Labels:        map[string]string{"kuberhealthy-run-id": runUUID, "kuberhealthy-check-name": "cart", "env": "prod"},
			Annotations:   map[string]string{corev1.LastAppliedConfigAnnotation: secret, "owner": "team"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "khronicle"}},
		},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "prepare", Env: env}},
			Containers:     []corev1.Container{{Name: "main", Image: "check:1", Args: []string{"--uuid=" + runUUID, "<x>"}, Env: env, LivenessProbe: probe}},
			EphemeralContainers: []corev1.EphemeralContainer{{
				EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Env: env},
			}},
		},
		Status: corev1.PodStatus{
			Phase:                 corev1.PodFailed,
			InitContainerStatuses: []corev1.ContainerStatus{{Name: "prepare", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "main", RestartCount: 2, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: 3, Reason: "Error", Message: "run " + runUUID + " crashed",
			}}}},
		},
	}
}

func TestSpecEvidence(t *testing.T) {
	pod := evidencePod()
	text := string(check.SpecEvidence(pod))
	for _, hidden := range []string{secret, runUUID, "managedFields", `"status"`, "exitCode"} {
		if strings.Contains(text, hidden) {
			t.Errorf("it has %q", hidden)
		}
	}
	for part, n := range map[string]int{
		`"name": "TOKEN",` + "\n": 3, `"(17 bytes)"`: 4, `"(36 bytes)"`: 3, `"key": "password"`: 3, `"name": "EMPTY"` + "\n": 3,
		`"env": "prod"`: 1, `"owner": "team"`: 1, `"--uuid=************************************"`: 1, `"<x>"`: 1, `"image": "check:1"`: 1,
	} {
		if got := strings.Count(text, part); got != n {
			t.Errorf("%q is there %d times, want %d", part, got, n)
		}
	}
	if diff := cmp.Diff(evidencePod(), pod); diff != "" {
		t.Errorf("the pod was changed:\n%s", diff)
	}
	if !json.Valid([]byte(text)) {
		t.Error("it is no JSON")
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestStatusEvidence(t *testing.T) {
	pod := evidencePod()
	pod.DeletionTimestamp = &metav1.Time{Time: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	text := string(check.StatusEvidence(pod))
	for _, part := range []string{
		`"exitCode": 3`, `"reason": "Error"`, `"restartCount": 2`, `"phase": "Failed"`, `"deletionTimestamp": "2026-11-22T12:00:00Z"`,
		`"run ************************************ crashed"`,
	} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

func TestEventsEvidence(t *testing.T) {
	at := func(second int) time.Time { return time.Date(2026, 11, 22, 12, 0, second, 0, time.UTC) }
	events := []corev1.Event{
		{Type: "Warning", Reason: "BackOff", Count: 4, Message: "Back-off\npulling ", LastTimestamp: metav1.NewTime(at(9)), FirstTimestamp: metav1.NewTime(at(1)), Source: corev1.EventSource{Component: "kubelet"}},
		{Type: "Normal", Reason: "Scheduled", Message: "assigned", EventTime: metav1.NewMicroTime(at(0)), ReportingController: "scheduler"},
		{Type: "Normal", Reason: "Old", ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(at(3))}},
	}
	const want = `2026-11-22T12:00:00Z Normal Scheduled (scheduler) assigned
2026-11-22T12:00:03Z Normal Old (-) ` + `
2026-11-22T12:00:09Z Warning BackOff ×4 (kubelet) Back-off pulling
`
	if diff := cmp.Diff(want, string(check.EventsEvidence(events))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestReceivedReport(t *testing.T) {
	long := strings.Repeat("ä", check.MaxEvidence)
	tests := []struct {
		name   string
		errors []string
		kept   int // errors
	}{
		{"success", []string{}, 0},
		{"two errors", []string{"first", "second"}, 2},
		{"one that is too long", []string{long}, 1},
		{"one that is too long when it is written", []string{strings.Repeat("\x01", check.MaxEvidence/2)}, 1},
		{"a short and a long one", []string{"first", long, "third"}, 2},
		{"very many", strings.Split(strings.Repeat("x ", 200_000), " ")[:200_000], 16_378},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			report := status.NewReport(tt.errors)
			whole, err := json.Marshal(report)
			if err != nil {
				t.Fatal(err)
			}
			received := check.Received(report)
			content, size := received.Evidence()
			var got status.Report
			if err := json.Unmarshal(content, &got); err != nil {
				t.Fatalf("%v: %.200s", err, content)
			}
			if least := max(len(content), len(whole)/6); size < least || size > len(whole)+10 {
				t.Errorf("size is %d, want %d to %d", size, least, len(whole)+10)
			}
			if len(content) > check.MaxEvidence {
				t.Errorf("evidence has %d bytes, want at most %d", len(content), check.MaxEvidence)
			}
			if got.OK != report.OK || len(got.Errors) != tt.kept {
				t.Errorf("evidence has OK %t and %d errors, want %t and %d", got.OK, len(got.Errors), report.OK, tt.kept)
			}
			if text := strings.Join(received.Errors, ""); len(text) > check.MaxEvidence {
				t.Errorf("%d bytes are handed on", len(text))
			}
			for i, text := range got.Errors {
				if !strings.HasPrefix(tt.errors[i], text) || text == "" {
					t.Fatalf("error %d is %.100q", i, text)
				}
			}
			if size > check.MaxEvidence && len(content) < check.MaxEvidence/8 {
				t.Errorf("only %d bytes are left", len(content))
			}
		})
	}
}

func TestContainerLogs(t *testing.T) {
	pod := evidencePod()
	pod.Status.InitContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}
	pod.Status.ContainerStatuses[0].State = corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"},
	}
	pod.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{}
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "ended"})
	pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
		Name: "ended", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(now)}},
	})
	pod.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{{Name: "debug", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	want := []check.ContainerLog{{Name: "prepare"}, {Name: "main", Started: true}, {Name: "ended", Started: true, Ended: true, EndedAt: now}, {Name: "debug", Started: true}}
	if diff := cmp.Diff(want, check.ContainerLogs(pod)); diff != "" {
		t.Errorf("logs (-want +got):\n%s", diff)
	}
}

func TestNewPiece(t *testing.T) {
	got := check.NewPiece("log", "1/main", []byte("caf\xc3 \xff\x00é"), 5)
	want := check.Piece{Kind: "log", Name: "1/main", Content: "caf\uFFFD \uFFFD\x00é", Size: 13}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("piece (-want +got):\n%s", diff)
	}
	if got := check.NewPiece("log", "1/main", []byte("end"), 5000); got.Size != 5000 {
		t.Errorf("size is %d, want that of the whole", got.Size)
	}
	encoded, err := json.Marshal(got)
	var back check.Piece
	if err != nil || json.Unmarshal(encoded, &back) != nil || back != got {
		t.Errorf("%s is read as %+v, error %v", encoded, back, err)
	}
}

func TestTail(t *testing.T) {
	for _, tt := range []struct {
		text string
		n    int
		want string
	}{
		{"abc", 5, "abc"}, {"abc", 2, "bc"}, {"aé", 2, "é"}, {"aé", 1, ""}, {"", 3, ""},
	} {
		if got := check.Tail(tt.text, tt.n); got != tt.want {
			t.Errorf("last %d bytes of %q are %q, want %q", tt.n, tt.text, got, tt.want)
		}
	}
}

func TestWithinBytes(t *testing.T) {
	log := func(name string, n int) check.Piece {
		return check.NewPiece(check.EvidenceLog, name, []byte(strings.Repeat("<", n-1)+"\n"), 0) // which JSON writes in six bytes
	}
	report := check.NewPiece(check.EvidenceReport, "1", []byte(strings.Repeat("r", 1000)), 0)
	tests := []struct {
		name   string
		pieces []check.Piece
		limit  int
		want   []int // bytes of the contents
	}{
		{"fits", []check.Piece{log("a", 100), report}, 2000, []int{100, 1000}},
		{"the longest log is shortened first", []check.Piece{log("a", 100), report, log("b", 400)}, 3500, []int{100, 1000, 200}},
		{"then the other", []check.Piece{log("a", 200), report, log("b", 400)}, 2000, []int{50, 1000, 50}},
		{"without logs the longest", []check.Piece{report, check.NewPiece("spec", "1", []byte("{}"), 0)}, 800, []int{500, 2}},
		{"nothing is left to shorten", []check.Piece{log("a", 100)}, 1, []int{0}},
		{"none", nil, 10, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, got []int
			for _, p := range tt.pieces {
				before = append(before, len(p.Content))
			}
			for i, p := range check.WithinBytes(tt.pieces, tt.limit) {
				got = append(got, len(p.Content))
				if whole := tt.pieces[i].Content; !strings.HasSuffix(whole, p.Content) || p.Size != len(whole) {
					t.Errorf("%s: not the end of it, or size %d", p.Name, p.Size)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("lengths (-want +got):\n%s", diff)
			}
			for i, p := range tt.pieces {
				if len(p.Content) != before[i] {
					t.Error("the pieces themselves were changed")
				}
			}
		})
	}
}
