package activities_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/ledger"
)

// piece is a piece that was sent to a ledger.
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
		RecordKey: activities.RecordKey{Ref: checkRef, Trigger: check.TriggerSchedule, Tick: tick}, UUID: runUUID, Attempt: 2,
		Pod: activities.Pod{Namespace: "shop", Name: "cart-1"},
	}
}

// keep runs the activity and returns what was sent to the ledger, by kind and name.
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
		got[p.Kind+" "+p.Name] = p.Content
		if want := (ledger.Key{CheckUID: "u-1", Trigger: check.TriggerSchedule, Tick: tick}); p.key != want {
			t.Errorf("%s %s is of %s, want %s", p.Kind, p.Name, p.key, want)
		}
		if len(p.Content) > ledger.MaxEvidence || p.Size < len(p.Content) || strings.Contains(p.Content, runUUID) || !utf8.ValidString(p.Content) {
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

// When a log is cut within a run UUID, the rest of the UUID is hidden too.
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

// A kubelet that does not answer costs a bounded time, and the rest is stored.
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

// The end of a log may come after the end of its container. If it may be missing, the evidence says so.
func TestKeepEvidenceWaitsForTheEndOfTheLog(t *testing.T) {
	const missing = "log of container main: its last lines may be missing: "
	tests := []struct {
		name    string
		ended   time.Duration // ago
		lag     time.Duration // until the log is complete
		refused int           // which read fails
		reads   int
		want    int // lines, of one every 100 ms
		took    time.Duration
		missing string
	}{
		{"complete", time.Second, 0, 0, 2, 0, time.Second, ""},
		{"late", time.Second, 1200 * time.Millisecond, 0, 4, 12, 3 * time.Second, ""},
		{"without end", time.Second, time.Hour, 0, 8, 70, 7 * time.Second, missing + "it still grew when the time was up\n"},
		{"the pod goes before its end", time.Second, time.Hour, 3, 3, 10, 2 * time.Second, missing + "not found\n"},
		{"ended long ago", 11 * time.Second, time.Hour, 0, 1, 0, 0, ""},
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
					if reads++; reads == tt.refused {
						return check.LogTail{}, errors.New("not found")
					}
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
				if diff := cmp.Diff("log of container never: it was not seen to start\n"+tt.missing, got["missing 2"]); diff != "" {
					t.Errorf("missing (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Some container runtimes drop what a container writes just before its end. No reader can notice that, so the evidence
// warns of it.
func TestKeepEvidenceWarnsOfARuntimeThatLosesTheEndsOfLogs(t *testing.T) {
	const never = "log of container never: it was not seen to start\n"
	tests := []struct {
		name    string
		runtime string
		err     error
		running bool
		want    string
	}{
		{"loses nothing", "containerd://1.7.24", nil, false, never},
		{"loses", "containerd://1.6.20~ds1", nil, false, never + "logs: their last lines may be missing: " +
			"containerd 1.6.20~ds1 of the node can drop what a container writes just before its end; 1.6.22 and 1.7.3 do not\n"},
		{"not known", "", errors.New("nodes is forbidden"), false, never + "logs: their last lines may be missing: " +
			"the node's container runtime is not known: nodes is forbidden\n"},
		{"no container has ended", "containerd://1.6.20~ds1", nil, true, never},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cluster := afterwards()
			cluster.pod.Spec.NodeName = "node-7"
			cluster.nodeRuntime = func(node string) (string, error) {
				if node != "node-7" {
					t.Errorf("read node %q", node)
				}
				return tt.runtime, tt.err
			}
			if tt.running {
				running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
				cluster.pod.Status.InitContainerStatuses[0].State, cluster.pod.Status.ContainerStatuses[0].State = running, running
			}
			got, _ := keep(t, cluster, &fakeLedger{}, evidenceInput())
			if diff := cmp.Diff(tt.want, got["missing 2"]); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
		})
	}
}

// If a pod succeeded although its check reported a failure, the cache does not have the whole spec.
func TestKeepEvidenceAsksForTheSpecOfAPodThatSucceeded(t *testing.T) {
	tests := []struct {
		name    string
		live    *corev1.Pod
		err     error
		missing string
	}{
		{"there", endedPod(), nil, ""},
		{"gone", nil, nil, "spec of pod cart-1: the pod is not there any more\n"},
		{"API server is down", nil, errors.New("connection refused"), "spec of pod cart-1: connection refused\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cluster := afterwards()
			cluster.pod.Status.Phase, cluster.pod.Spec.Containers[0].Env = corev1.PodSucceeded, nil
			cluster.livePod = func(string, string) (*corev1.Pod, error) { return tt.live, tt.err }
			got, _ := keep(t, cluster, &fakeLedger{}, evidenceInput())
			want := ""
			if tt.live != nil {
				want = string(check.SpecEvidence(tt.live))
			}
			if got["spec 2"] != want || !strings.HasPrefix(got["missing 2"], tt.missing) || got["status 2"] == "" {
				t.Errorf("spec %q, missing %q", got["spec 2"], got["missing 2"])
			}
		})
	}
}

func TestNoLedgerNoRequests(t *testing.T) {
	a, env := worker(&fakeCluster{}) // of which any request panics
	encoded, err := env.ExecuteActivity(a.KeepEvidence, evidenceInput())
	if got := value[activities.EvidenceResult](t, encoded, err); len(got.Waiting) != 0 {
		t.Errorf("result is %+v", got)
	}
}

// A report that came after the outcome has no attempt, so nothing is read of the pod.
func TestKeepEvidenceOfALateReportReadsNothingOfThePod(t *testing.T) {
	in := evidenceInput()
	in.Attempt, in.Pod = 0, activities.Pod{}
	in.Further = &check.ReceivedReport{Report: status.NewReport(nil)}
	got, _ := keep(t, &fakeCluster{}, &fakeLedger{}, in)
	if diff := cmp.Diff(map[string]string{"further-report ": `{"Errors":[],"OK":true}`}, got); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
}

// Evidence that the ledger does not take is not lost: the activity returns it.
func TestEvidenceThatTheLedgerDoesNotTakeIsReturned(t *testing.T) {
	cluster := afterwards()
	random := rand.NewChaCha8([32]byte{})
	noise := make([]byte, ledger.MaxEvidence)
	cluster.podLog = func(context.Context, string) (check.LogTail, error) {
		_, _ = random.Read(noise) // most of it is not UTF-8, or has to be escaped
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
	encoded, err := json.Marshal(result.Waiting)
	if n := len(encoded); err != nil || n > 384<<10 || n < 192<<10 {
		t.Fatalf("%d bytes of JSON wait, error %v, want no more than 384 KiB, and most of them", n, err)
	}
}

// A piece that the ledger will never take does not delay the others, and does not wait.
func TestRefusedEvidenceDoesNotHoldUpTheRest(t *testing.T) {
	for _, refusal := range []error{ledger.ErrEvidenceFull, ledger.ErrInvalid} {
		_, result := keep(t, afterwards(), &fakeLedger{refuse: fmt.Errorf("evidence: %w", refusal)}, evidenceInput())
		if len(result.Waiting) != 0 {
			t.Errorf("%v: it waits", refusal)
		}
	}
}

// When somebody deletes a pod, its logs are read until its end, and become the evidence.
func TestLogsOfADeletedPodAreReadUntilItsEnd(t *testing.T) {
	goes := check.Observation{Started: true, Deleting: true, Node: "node-1"}
	end := check.Observation{Started: true, Deleting: true, Ended: true, Node: "node-1"}
	sidecar := partlyAt(0)
	sidecar.Deleting = true
	tests := []struct {
		name   string
		in     func() activities.WatchInput
		ledger bool
		shows  []event
		follow time.Duration // how long a log continues after the request
		want   string        // of the log that is read
		took   time.Duration
	}{
		{"told to go", watched, true, []event{{time.Second, goes}, {3 * time.Second, end}}, 3 * time.Second, "to the end", 4 * time.Second},
		{"its end is seen first", watched, true, []event{{time.Second, end}}, 0, "to the end", time.Second},
		{"the log goes on after the end", watched, true, []event{{time.Second, end}}, time.Hour, "cut off", 3 * time.Second},
		{"not told to go", watched, true, []event{{time.Second, ended}}, 0, "", time.Second},
		{"without a ledger", watched, false, []event{{time.Second, end}}, 0, "", time.Second},
		{"deleted because of a sidecar", func() activities.WatchInput { return reported(2) }, true, []event{{time.Second, sidecar}, {time.Second, gone}}, 0, "", 2 * time.Second},
		{"at the deadline it still goes", watched, true, []event{{time.Second, goes}}, time.Hour, "cut off", time.Minute + 2*time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := afterwards()
				var asked atomic.Int64 // the containers of a pod are followed side by side
				cluster.awaitPod = podThat(tt.shows...).awaitPod
				cluster.followLog = func(ctx context.Context, container string) (check.LogTail, error) {
					asked.Add(1)
					if container == "prepare" {
						return check.LogTail{}, errors.New("no log")
					}
					select {
					case <-time.After(tt.follow):
						return tail("to the end", 10), nil
					case <-ctx.Done():
						return check.LogTail{Content: []byte("cut off"), Size: 7, Cut: true}, nil
					}
				}
				a, env := worker(cluster)
				if tt.ledger {
					a.Ledger = &fakeLedger{}
				}
				began := time.Now()
				encoded, err := env.ExecuteActivity(a.WatchPod, tt.in())
				seen := value[check.Observation](t, encoded, err)
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %s, want %s", took, tt.took)
				}
				if (len(seen.Logs) > 0) != (tt.want != "") || tt.want == "" && asked.Load() > 0 {
					t.Fatalf("%d pieces of logs, %d were read", len(seen.Logs), asked.Load())
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
				if cut := strings.Contains(got["missing 2"], "log of container main: its last lines may be missing: "); cut != (tt.want == "cut off") {
					t.Errorf("it says that the end may be missing: %t; %s", cut, got["missing 2"])
				}
				if got["log 2/main"] != tt.want || !strings.Contains(got["missing 2"], "log of container prepare: log of prepare is gone\n") {
					t.Errorf("evidence is %v", got)
				}
			})
		})
	}
}
