package check_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
)

// TestFailureTexts is Kuberhealthy's table of the texts for each end of a run without a report.
func TestFailureTexts(t *testing.T) {
	hopeless := check.Observation{Hopeless: "ErrImagePull", Detail: "container main: ErrImagePull: manifest unknown"}
	lacksCPU := check.Observation{Detail: "pod is unschedulable: 0/3 nodes are available"}
	exitedOne := check.Observation{Started: true, Ended: true, Detail: "container main exited with code 1 (Error)"}
	unconfigured := check.Observation{Hopeless: "CreateContainerConfigError", Detail: `container main: CreateContainerConfigError: secret "x" not found`}
	evicted := check.Observation{Started: true, Ended: true, Disrupted: true, Detail: "pod Evicted: memory"}
	tests := []struct {
		name    string
		failure check.Failure
		outcome check.Outcome
		// text follows "Check execution error: " or "Job execution error: "; %s is the name of the check or job.
		check, job string
		detail     string
	}{
		{
			"invalid spec", check.InvalidSpec(errors.New("no containers found in checks PodSpec")), check.Failed,
			"Check execution error: no containers found in checks PodSpec",
			"Job execution error: no containers found in checks PodSpec", "",
		},
		{
			"creation refused", check.CreateFailed(`pods "x" is forbidden: exceeded quota`), check.InfraFailed,
			`Check execution error: ns/dns: failed to create pod for checker: pods "x" is forbidden: exceeded quota`,
			`Job execution error: ns/smoke: failed to create pod for checker: pods "x" is forbidden: exceeded quota`, "",
		},
		{
			"not running in time", check.NotStarted(check.Observation{}), check.TimedOut,
			"Check execution error: ns/dns: failed to see pod running within timeout",
			"Job execution error: ns/smoke: failed to see pod running within timeout", "",
		},
		{
			"not running in time, creating", check.NotStarted(check.Observation{Detail: "container main: ContainerCreating"}), check.TimedOut,
			"Check execution error: ns/dns: failed to see pod running within timeout",
			"Job execution error: ns/smoke: failed to see pod running within timeout", "container main: ContainerCreating",
		},
		{
			"not running in time, unschedulable", check.NotStarted(lacksCPU), check.InfraFailed,
			"Check execution error: ns/dns: failed to see pod running within timeout",
			"Job execution error: ns/smoke: failed to see pod running within timeout", "pod is unschedulable: 0/3 nodes are available",
		},
		{
			"cannot start", check.CannotStart(hopeless), check.InfraFailed,
			"Check execution error: ns/dns: error when waiting for pod to start: ErrImagePull",
			"Job execution error: ns/smoke: error when waiting for pod to start: ErrImagePull",
			"container main: ErrImagePull: manifest unknown",
		},
		{
			"cannot start for what its spec names", check.CannotStart(unconfigured), check.Failed,
			"Check execution error: ns/dns: error when waiting for pod to start: CreateContainerConfigError",
			"Job execution error: ns/smoke: error when waiting for pod to start: CreateContainerConfigError",
			`container main: CreateContainerConfigError: secret "x" not found`,
		},
		{
			"not running in time for what its spec names", check.NotStarted(check.Observation{Blame: check.BlameCheck, Detail: `FailedMount: secret "x" not found`}), check.Failed,
			"Check execution error: ns/dns: failed to see pod running within timeout",
			"Job execution error: ns/smoke: failed to see pod running within timeout", `FailedMount: secret "x" not found`,
		},
		{
			"not running in time for its node", check.NotStarted(check.Observation{Blame: check.BlamePlatform, Detail: "FailedCreatePodSandBox: no network"}), check.InfraFailed,
			"Check execution error: ns/dns: failed to see pod running within timeout",
			"Job execution error: ns/smoke: failed to see pod running within timeout", "FailedCreatePodSandBox: no network",
		},
		{
			"no report in time from a node that is not ready", check.NoReport(check.Observation{Started: true, Blame: check.BlamePlatform, Detail: "NodeNotReady: Node is not ready"}), check.InfraFailed,
			"Check execution error: ns/dns: timed out waiting for checker pod to report in",
			"Job execution error: ns/smoke: timed out waiting for checker pod to report in", "NodeNotReady: Node is not ready",
		},
		{
			"no exit in time from a node that is not ready", check.NoExit(check.Observation{Started: true, Blame: check.BlamePlatform, Detail: "NodeNotReady: Node is not ready"}), check.InfraFailed,
			"Check execution error: ns/dns: timed out waiting for pod to exit",
			"Job execution error: ns/smoke: timed out waiting for pod to exit", "NodeNotReady: Node is not ready",
		},
		{
			"deleted before it ran", check.Removed(check.Observation{Gone: true}), check.Failed,
			"Check execution error: ns/dns: error when waiting for pod to start: the khcheck check pod is deleted, waiting for start failed",
			"Job execution error: ns/smoke: error when waiting for pod to start: the khcheck check pod is deleted, waiting for start failed", "",
		},
		{
			"deleted while it ran", check.Removed(check.Observation{Started: true, Gone: true}), check.Failed,
			"Check execution error: pod deleted unexpectedly",
			"Job execution error: pod deleted unexpectedly", "",
		},
		{
			"evicted and gone", check.Removed(evicted), check.InfraFailed,
			"Check execution error: pod deleted expectedly",
			"Job execution error: pod deleted expectedly", "pod Evicted: memory",
		},
		{
			"preempted before it ran", check.Removed(check.Observation{Gone: true, Disrupted: true}), check.InfraFailed,
			"Check execution error: pod deleted expectedly",
			"Job execution error: pod deleted expectedly", "",
		},
		{
			"ended without a report", check.EndedSilently(exitedOne), check.Failed,
			"Check execution error: ns/dns: checker pod ended without reporting in: container main exited with code 1 (Error)",
			"Job execution error: ns/smoke: checker pod ended without reporting in: container main exited with code 1 (Error)", "",
		},
		{
			"evicted, still there", check.EndedSilently(evicted), check.InfraFailed,
			"Check execution error: ns/dns: checker pod ended without reporting in: pod Evicted: memory",
			"Job execution error: ns/smoke: checker pod ended without reporting in: pod Evicted: memory", "",
		},
		{
			"no report in time", check.NoReport(check.Observation{}), check.TimedOut,
			"Check execution error: ns/dns: timed out waiting for checker pod to report in",
			"Job execution error: ns/smoke: timed out waiting for checker pod to report in", "",
		},
		{
			"no report in time from a pod in which a container failed", check.NoReport(check.Observation{Started: true, PartlyEnded: true, Detail: "container main exited with code 1 (Error)"}), check.TimedOut,
			"Check execution error: ns/dns: timed out waiting for checker pod to report in",
			"Job execution error: ns/smoke: timed out waiting for checker pod to report in", "container main exited with code 1 (Error)",
		},
		{
			"run lost", check.Lost(), check.InfraFailed,
			"Check execution error: ns/dns: the run was lost: Temporal has no record of it any more",
			"Job execution error: ns/smoke: the run was lost: Temporal has no record of it any more", "",
		},
		{
			"no exit in time", check.NoExit(check.Observation{}), check.TimedOut,
			"Check execution error: ns/dns: timed out waiting for pod to exit",
			"Job execution error: ns/smoke: timed out waiting for pod to exit", "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for ref, text := range map[check.Ref]string{checkRef: tt.check, jobRef: tt.job} {
				conclusion := tt.failure.Conclude(ref)
				want := []string{text}
				if tt.detail != "" {
					want = append(want, tt.detail)
				}
				// People see the text of the state.
				state := check.NewState(nil, ref, runUUID, "worker-0", conclusion)
				if diff := cmp.Diff(want, state.Spec.Errors); diff != "" {
					t.Errorf("%s: errors differ (-want +got):\n%s", ref.Kind, diff)
				}
				if got, ok := conclusion.ExecutionError(ref); !ok || "Check execution error: "+got != tt.check && "Job execution error: "+got != tt.job {
					t.Errorf("%s: execution error is %q (%t)", ref.Kind, got, ok)
				}
				if conclusion.Outcome != tt.outcome || conclusion.OK() || state.Spec.OK || conclusion.Reported {
					t.Errorf("%s: result is %s, OK %t, reported %t, want %s without an outcome", ref.Kind, conclusion.Outcome, state.Spec.OK, conclusion.Reported, tt.outcome)
				}
			}
		})
	}
}

// Whose fault it is that a container cannot start follows from its own status.
func TestBlameForAContainerThatCannotStart(t *testing.T) {
	for _, tt := range []struct {
		reason, message string
		outcome         check.Outcome
		refused         bool
	}{
		{"ErrImagePull", "manifest unknown", check.InfraFailed, true},
		{"ImagePullBackOff", "", check.InfraFailed, true},
		{"RegistryUnavailable", "", check.InfraFailed, true},
		{"SignatureValidationFailed", "", check.InfraFailed, true},
		{"ImageInspectError", "", check.InfraFailed, true},
		{"CreateContainerConfigError", "container has runAsNonRoot and image will run as root", check.Failed, true},
		{"CreateContainerError", "context deadline exceeded", check.InfraFailed, true},
		{"CreateContainerError", "failed to generate container spec: no command specified", check.Failed, true},
		{"CreateContainerError", `exec: "run": executable file not found in $PATH`, check.Failed, true},
		{"RunContainerError", `failed to start: exec: "/no": stat /no: no such file or directory: unknown`, check.Failed, true},
		{"InvalidImageName", "", check.Failed, false},
		{"ErrImageNeverPull", "", check.Failed, false},
	} {
		failure := check.CannotStart(check.Observation{Hopeless: tt.reason, Detail: "container main: " + tt.reason + ": " + tt.message})
		if failure.Outcome != tt.outcome || failure.Refused != tt.refused || failure.Final == tt.refused {
			t.Errorf("%s %s: failure is %+v, want %s, another attempt: %t", tt.reason, tt.message, failure, tt.outcome, tt.refused)
		}
	}
}

func TestFromReport(t *testing.T) {
	tests := []struct {
		name   string
		report status.Report
		want   check.Conclusion
	}{
		{"OK", status.NewReport(nil), check.Conclusion{Outcome: check.Succeeded, Errors: []string{}, Reported: true}},
		{"failed", status.NewReport([]string{"a", "b"}), check.Conclusion{Outcome: check.Failed, Errors: []string{"a", "b"}, Reported: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if text, ok := check.FromReport(tt.report).ExecutionError(checkRef); ok {
				t.Errorf("an outcome of the check's own is taken for the execution error %q", text)
			}
			if diff := cmp.Diff(tt.want, check.FromReport(tt.report)); diff != "" {
				t.Errorf("outcome differs (-want +got):\n%s", diff)
			}
		})
	}
}

// An outcome that is stored as a record is bounded, because Temporal stores it more than once.
func TestBoundedOutcome(t *testing.T) {
	many := make([]string, 100)
	for i := range many {
		many[i] = strings.Repeat("x", i)
	}
	long := strings.Repeat("ä", 4<<10)
	tests := []struct {
		name      string
		errors    []string
		want      int
		lastBegin string
	}{
		{"none", nil, 0, ""},
		{"as many as fit", many[:32], 32, strings.Repeat("x", 31)},
		{"too many", many, 32, "and 69 more"},
		{"too long", []string{"a", long}, 2, "ää"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.errors)
			got := check.Conclusion{Outcome: check.Failed, Errors: tt.errors}.Bounded().Errors
			if len(got) != tt.want || tt.want > 0 && !strings.HasPrefix(got[tt.want-1], tt.lastBegin) {
				t.Errorf("%d errors, want %d, of which the last begins with %q", len(got), tt.want, tt.lastBegin)
			}
			for _, text := range got {
				if len(text) > 4<<10 || !utf8.ValidString(text) {
					t.Errorf("an error of %d bytes, valid: %t", len(text), utf8.ValidString(text))
				}
			}
			if diff := cmp.Diff(before, tt.errors); diff != "" {
				t.Errorf("the outcome itself was changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestOnlySucceededIsOK(t *testing.T) {
	for _, outcome := range []check.Outcome{check.Succeeded, check.Failed, check.TimedOut, check.InfraFailed, check.Canceled, ""} {
		if got, want := (check.Conclusion{Outcome: outcome}).OK(), outcome == check.Succeeded; got != want {
			t.Errorf("%q: OK is %t", outcome, got)
		}
	}
}

func TestErrorsInKuberhealthysWords(t *testing.T) {
	for want, err := range map[string]error{
		"pod deleted expectedly":                                     check.ErrPodRemovedExpectedly,
		"pod deleted unexpectedly":                                   check.ErrPodRemovedUnexpectedly,
		"the khcheck check pod is deleted, waiting for start failed": check.ErrPodDeletedBeforeRunning,
	} {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
}
