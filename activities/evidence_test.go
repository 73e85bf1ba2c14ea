package activities_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/ledger"
)

// piece is what a ledger was given.
type piece struct {
	key ledger.Key
	ledger.Evidence
}

// endedPod has an init container that ran, one that crashed, and one that never started.
func endedPod() *corev1.Pod {
	ran := func(name string, code int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error"}}}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart-1", Labels: map[string]string{"kuberhealthy-run-id": runUUID}},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "prepare"}},
			Containers:     []corev1.Container{{Name: "main", Env: []corev1.EnvVar{{Name: "KH_RUN_UUID", Value: runUUID}}}, {Name: "never"}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodFailed, InitContainerStatuses: []corev1.ContainerStatus{ran("prepare", 0)},
			ContainerStatuses: []corev1.ContainerStatus{ran("main", 3), {Name: "never"}},
		},
	}
}

// afterwards is a cluster with an ended pod, its events and its logs.
func afterwards() *fakeCluster {
	return &fakeCluster{
		pod: endedPod(),
		podEvents: func(context.Context) ([]corev1.Event, error) {
			return []corev1.Event{{Reason: "Started"}}, nil
		},
		podLog: func(_ context.Context, container string) (check.LogTail, error) {
			return tail("log of "+container+" in run "+runUUID+"\n", 1000), nil
		},
	}
}

func tail(text string, size int) check.LogTail {
	return check.LogTail{Content: []byte(text), Size: size}
}

func evidenceInput() activities.EvidenceInput {
	return activities.EvidenceInput{
		Due: activities.Due{Ref: checkRef, Trigger: check.TriggerSchedule, At: dueAt}, UUID: runUUID, Attempt: 2,
		Pod: activities.Pod{Namespace: "shop", Name: "cart-1"},
	}
}

// keep runs the activity and returns what the ledger was given, by kind and name.
func keep(t *testing.T, cluster *fakeCluster, kept *fakeLedger, in activities.EvidenceInput) (map[string]string, activities.EvidenceResult) {
	t.Helper()
	a, env := worker(cluster)
	a.Ledger = kept
	encoded, err := env.ExecuteActivity(a.KeepEvidence, in)
	result := value[activities.EvidenceResult](t, encoded, err)
	return contents(t, kept), result
}

func contents(t *testing.T, kept *fakeLedger) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, p := range kept.evidence {
		got[p.Kind+" "+p.Name] = string(p.Content)
		if want := (ledger.Key{CheckUID: "u-1", Trigger: ledger.Scheduled, Nominal: dueAt}); p.key != want {
			t.Errorf("%s %s is of %s, want %s", p.Kind, p.Name, p.key, want)
		}
		if len(p.Content) > ledger.MaxEvidence || p.Size < len(p.Content) || bytes.Contains(p.Content, []byte(runUUID)) {
			t.Errorf("%s %s: %d bytes of %d, or it has the run UUID", p.Kind, p.Name, len(p.Content), p.Size)
		}
	}
	return got
}

func TestKeepEvidence(t *testing.T) {
	kept := &fakeLedger{}
	in := evidenceInput()
	in.Report = &check.ReceivedReport{Report: status.NewReport([]string{"I am " + runUUID}), Size: 99}
	got, result := keep(t, afterwards(), kept, in)
	hidden := strings.Repeat("*", 36)
	want := map[string]string{
		"report 2":      `{"Errors":["I am ` + hidden + `"],"OK":false}`,
		"spec 2":        string(check.SpecEvidence(endedPod())),
		"status 2":      string(check.StatusEvidence(endedPod())),
		"events 2":      string(check.EventsEvidence([]corev1.Event{{Reason: "Started"}})),
		"log 2/prepare": "log of prepare in run " + hidden + "\n",
		"log 2/main":    "log of main in run " + hidden + "\n",
		"missing 2":     "log of container never: it was not seen to start\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
	if len(result.Waiting) != 0 {
		t.Error("some evidence waits although the ledger has taken it")
	}
	for _, p := range kept.evidence {
		if want := map[string]int{"report": 99, "log": 1000}[p.Kind]; want != 0 && p.Size != want {
			t.Errorf("%s %s: size %d, want %d", p.Kind, p.Name, p.Size, want)
		}
	}
}

// A run UUID that stands where the kept part of a log begins is not left in it by its end.
func TestKeepEvidenceHidesARunUUIDAtTheCut(t *testing.T) {
	cluster := afterwards()
	log := "xx" + runUUID + strings.Repeat("y", ledger.MaxEvidence-10)
	cluster.podLog = func(context.Context, string) (check.LogTail, error) { return tail(log, len(log)), nil }
	got, _ := keep(t, cluster, &fakeLedger{}, evidenceInput())
	if text := got["log 2/main"]; len(text) != ledger.MaxEvidence || text[:10] != "**********" || text[10] != 'y' {
		t.Errorf("log has %d bytes and begins with %.20q", len(text), text)
	}
}

func TestKeepEvidenceSaysWhatIsMissing(t *testing.T) {
	down := errors.New("connection refused")
	tests := []struct {
		name   string
		change func(*fakeCluster)
		want   string
		others []string
	}{
		{
			"pod was never seen", func(f *fakeCluster) { f.pod = nil },
			"spec and status of pod cart-1: this worker has not seen the pod, or it went too long ago\nlogs: the containers of the pod are not known\n",
			[]string{"events 2"},
		},
		{
			"API server is down", func(f *fakeCluster) {
				f.podEvents = func(context.Context) ([]corev1.Event, error) { return nil, down }
				f.podLog = func(context.Context, string) (check.LogTail, error) { return check.LogTail{}, down }
			},
			"events: connection refused\nlog of container prepare: connection refused\nlog of container main: connection refused\nlog of container never: it was not seen to start\n",
			[]string{"spec 2", "status 2"},
		},
		{
			"no events, and very many containers", func(f *fakeCluster) {
				f.podEvents = func(context.Context) ([]corev1.Event, error) { return nil, nil }
				f.pod.Spec.InitContainers, f.pod.Spec.Containers = nil, nil
				for i := range 17 {
					f.pod.Spec.Containers = append(f.pod.Spec.Containers, corev1.Container{Name: fmt.Sprint(i)})
					f.pod.Status.ContainerStatuses = append(f.pod.Status.ContainerStatuses, corev1.ContainerStatus{
						Name: fmt.Sprint(i), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
					})
				}
			},
			"events: there are none of this pod\nlog of container 16: those of 16 containers are kept\n", nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cluster := afterwards()
			tt.change(cluster)
			got, _ := keep(t, cluster, &fakeLedger{}, evidenceInput())
			if diff := cmp.Diff(tt.want, got["missing 2"]); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
			for _, other := range tt.others {
				if _, ok := got[other]; !ok {
					t.Errorf("%s is not there", other)
				}
			}
		})
	}
}

// A kubelet that does not answer costs a bounded time, and the rest is kept.
func TestKeepEvidenceIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := afterwards()
		for i := range 10 {
			cluster.pod.Spec.InitContainers = append(cluster.pod.Spec.InitContainers, corev1.Container{Name: fmt.Sprint(i)})
			cluster.pod.Status.InitContainerStatuses = append(cluster.pod.Status.InitContainerStatuses, corev1.ContainerStatus{
				Name: fmt.Sprint(i), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
			})
		}
		cluster.podLog = func(ctx context.Context, _ string) (check.LogTail, error) {
			<-ctx.Done()
			return check.LogTail{}, ctx.Err()
		}
		began := time.Now()
		got, _ := keep(t, cluster, &fakeLedger{}, evidenceInput())
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("took %s, want 10s", took)
		}
		if n := strings.Count(got["missing 2"], "log of container "); n != 13 || got["status 2"] == "" || got["events 2"] == "" {
			t.Errorf("%d logs are missing, want 13; evidence is %v", n, got)
		}
	})
}

// On a busy node the end of a log comes after the end of its container.
func TestKeepEvidenceWaitsForTheEndOfTheLog(t *testing.T) {
	tests := []struct {
		name  string
		ended time.Duration // ago
		lag   time.Duration // until the log is complete
		reads int
		want  int // lines, of one every 100 ms
		took  time.Duration
	}{
		{"complete", time.Second, 0, 2, 0, time.Second},
		{"late", time.Second, 1200 * time.Millisecond, 4, 12, 3 * time.Second},
		{"without end", time.Second, time.Hour, 8, 70, 7 * time.Second},
		{"ended long ago", 11 * time.Second, time.Hour, 1, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster, reads, began := afterwards(), 0, time.Now()
				cluster.pod.Status.ContainerStatuses[0].State.Terminated.FinishedAt = metav1.NewTime(began.Add(-tt.ended))
				cluster.podLog = func(_ context.Context, container string) (check.LogTail, error) {
					if container != "main" {
						return tail(container, 1), nil
					}
					reads++
					text := strings.Repeat("line\n", int(min(time.Since(began), tt.lag)/(100*time.Millisecond)))
					return tail(text, len(text)), nil
				}
				got, _ := keep(t, cluster, &fakeLedger{}, evidenceInput())
				if took := time.Since(began); took != tt.took || reads != tt.reads {
					t.Errorf("%d reads in %s, want %d in %s", reads, took, tt.reads, tt.took)
				}
				if lines := strings.Count(got["log 2/main"], "line\n"); lines != tt.want || got["log 2/prepare"] != "prepare" {
					t.Errorf("%d lines, want %d; evidence is %v", lines, tt.want, got)
				}
			})
		})
	}
}

func TestNoLedgerNoRequests(t *testing.T) {
	a, env := worker(&fakeCluster{}) // of which any request panics
	encoded, err := env.ExecuteActivity(a.KeepEvidence, evidenceInput())
	if got := value[activities.EvidenceResult](t, encoded, err); len(got.Waiting) != 0 {
		t.Errorf("result is %+v", got)
	}
	if _, err := env.ExecuteActivity(a.PutEvidence, activities.WaitingEvidence{}); err != nil {
		t.Error(err)
	}
}

// A report that came after the verdict has no attempt, and asks for nothing of the pod.
func TestKeepEvidenceOfAReportAlone(t *testing.T) {
	in := evidenceInput()
	in.Attempt, in.Pod = 0, activities.Pod{}
	in.Further = &check.ReceivedReport{Report: status.NewReport(nil)}
	got, _ := keep(t, &fakeCluster{}, &fakeLedger{}, in)
	if diff := cmp.Diff(map[string]string{"further-report ": `{"Errors":[],"OK":true}`}, got); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
}

// What the ledger does not take is not lost: it is handed back, and can be put later.
func TestEvidenceThatWaits(t *testing.T) {
	cluster := afterwards()
	random := rand.NewChaCha8([32]byte{})
	noise := make([]byte, ledger.MaxEvidence)
	cluster.podLog = func(context.Context, string) (check.LogTail, error) {
		_, _ = random.Read(noise) // nothing of it can be compressed
		return check.LogTail{Content: slices.Clone(noise), Size: 1 << 20}, nil
	}
	for i := range 10 {
		cluster.pod.Spec.InitContainers = append(cluster.pod.Spec.InitContainers, corev1.Container{Name: fmt.Sprint(i)})
		cluster.pod.Status.InitContainerStatuses = append(cluster.pod.Status.InitContainerStatuses, corev1.ContainerStatus{
			Name: fmt.Sprint(i), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		})
	}
	down := &fakeLedger{refuse: errors.New("database is locked")}
	_, result := keep(t, cluster, down, evidenceInput())
	if n := len(result.Waiting); n == 0 || n > 384<<10 || n < 192<<10 {
		t.Fatalf("%d bytes wait, want no more than 384 KiB, and most of them", n)
	}
	a, env := worker(cluster)
	kept := &fakeLedger{refuse: errors.New("database is locked")}
	a.Ledger = kept
	waiting := activities.WaitingEvidence{Due: evidenceInput().Due, Part: 2, Packed: result.Waiting, Pieces: []activities.Piece{{Kind: "late-report", Content: []byte("{}"), Size: 2}}}
	if _, err := env.ExecuteActivity(a.PutEvidence, waiting); err == nil {
		t.Error("no error while the ledger is down")
	}
	kept.refuse = nil
	if _, err := env.ExecuteActivity(a.PutEvidence, waiting); err != nil {
		t.Fatal(err)
	}
	got := contents(t, kept)
	if len(got) != 17 || got["status 2"] != string(check.StatusEvidence(cluster.pod)) || got["late-report "] != "{}" || len(got["log 2/main"]) < 16<<10 {
		t.Errorf("%d pieces, log of %d bytes, status %q", len(got), len(got["log 2/main"]), got["status 2"])
	}
	if _, err := env.ExecuteActivity(a.PutEvidence, activities.WaitingEvidence{Packed: []byte("?")}); err == nil || !strings.Contains(err.Error(), "unpack evidence") {
		t.Errorf("error %v for what is not packed", err)
	}
}

// A piece that the ledger will never take does not hold up the others, nor wait.
func TestEvidenceThatIsRefused(t *testing.T) {
	for _, refusal := range []error{ledger.ErrEvidenceFull, ledger.ErrInvalid} {
		_, result := keep(t, afterwards(), &fakeLedger{refuse: fmt.Errorf("evidence: %w", refusal)}, evidenceInput())
		if len(result.Waiting) != 0 {
			t.Errorf("%v: it waits", refusal)
		}
	}
}

// The logs of a pod that somebody deletes are read while it goes, and are what the evidence has.
func TestLogsOfAPodThatIsTakenAway(t *testing.T) {
	goes := check.Observation{Started: true, Deleting: true, Node: "node-1"}
	end := check.Observation{Started: true, Deleting: true, Ended: true, Node: "node-1"}
	sidecar := check.Observation{Started: true, Deleting: true, PartlyEnded: true, Node: "node-1"}
	tests := []struct {
		name   string
		wait   wait
		ledger bool
		shows  []event
		follow time.Duration // how long a log goes on after it is asked for
		want   string        // of the log that is caught
		took   time.Duration
	}{
		{"told to go", forExit, true, []event{{time.Second, goes}, {3 * time.Second, end}}, 3 * time.Second, "to the end", 4 * time.Second},
		{"its end is seen first", forExit, true, []event{{time.Second, end}}, 0, "to the end", time.Second},
		{"the log goes on after the end", forExit, true, []event{{time.Second, end}}, time.Hour, "cut off", 3 * time.Second},
		{"not told to go", forExit, true, []event{{time.Second, ended}}, 0, "", time.Second},
		{"without a ledger", forExit, false, []event{{time.Second, end}}, 0, "", time.Second},
		{"deleted because of a sidecar", forExit, true, []event{{time.Second, sidecar}, {time.Second, gone}}, 0, "", 2 * time.Second},
		{"after the report", forReporter, true, []event{{time.Second, end}}, 0, "", time.Second},
		{"at the deadline it still goes", forExit, true, []event{{time.Second, goes}}, time.Hour, "cut off", time.Minute + 2*time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster, asked := afterwards(), 0
				cluster.awaitPod = podThat(tt.shows...).awaitPod
				cluster.followLog = func(ctx context.Context, container string) (check.LogTail, error) {
					asked++
					if container == "prepare" {
						return check.LogTail{}, errors.New("no log")
					}
					select {
					case <-time.After(tt.follow):
						return tail("to the end", 10), nil
					case <-ctx.Done():
						return tail("cut off", 7), nil
					}
				}
				a, env := worker(cluster)
				if tt.ledger {
					a.Ledger = &fakeLedger{}
				}
				began := time.Now()
				encoded, err := env.ExecuteActivity(tt.wait(a), onPod())
				seen := value[check.Observation](t, encoded, err)
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %s, want %s", took, tt.took)
				}
				if (len(seen.Logs) > 0) != (tt.want != "") || tt.want == "" && asked > 0 {
					t.Fatalf("%d bytes of logs, %d were asked for", len(seen.Logs), asked)
				}
				if tt.want == "" {
					return
				}
				in := evidenceInput()
				in.Logs = seen.Logs
				cluster.podLog = func(_ context.Context, container string) (check.LogTail, error) {
					return check.LogTail{}, errors.New("log of " + container + " is gone")
				}
				got, _ := keep(t, cluster, &fakeLedger{}, in)
				if got["log 2/main"] != tt.want || !strings.Contains(got["missing 2"], "log of container prepare: log of prepare is gone\n") {
					t.Errorf("evidence is %v", got)
				}
			})
		})
	}
}
