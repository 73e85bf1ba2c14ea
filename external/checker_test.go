package external_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external"
	"github.com/khronicle/khronicle/external/khcheckcrd"
	"github.com/khronicle/khronicle/external/khjobcrd"
	"github.com/khronicle/khronicle/external/khstatecrd"
	"github.com/khronicle/khronicle/internal/apitest"
	"github.com/khronicle/khronicle/workflows"
)

// fakeTemporal is asked for runs. Any call that it has no answer to panics.
type fakeTemporal struct {
	client.Client
	refuse  error
	outcome func() (check.Conclusion, error)
	hangs   bool              // a cancelled run never ends
	late    *check.Conclusion // of a run that ends while it is cancelled
	// refuseCancel is the answer to a cancellation.
	refuseCancel error

	options  client.StartWorkflowOptions
	input    workflows.ManualRunInput
	canceled chan struct{}
}

func newTemporal(conclusion check.Conclusion) *fakeTemporal {
	return &fakeTemporal{canceled: make(chan struct{}), outcome: func() (check.Conclusion, error) { return conclusion, nil }}
}

// neverEnds is a run that ends only when it is cancelled.
func neverEnds() *fakeTemporal {
	f := newTemporal(check.Conclusion{})
	f.outcome = nil
	return f
}

func (f *fakeTemporal) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, _ any, args ...any) (client.WorkflowRun, error) {
	f.options, f.input = o, args[0].(workflows.ManualRunInput)
	return run{f}, f.refuse
}

func (f *fakeTemporal) CancelWorkflow(context.Context, string, string) error {
	if f.late != nil {
		f.outcome = func() (check.Conclusion, error) { return *f.late, nil }
	}
	if f.refuseCancel == nil {
		close(f.canceled)
	}
	return f.refuseCancel
}

type run struct{ *fakeTemporal }

func (r run) GetID() string    { return r.options.ID }
func (r run) GetRunID() string { return "uuid-of-the-run" }

func (r run) GetFirstExecutionRunID() string { return "uuid-of-the-run" }

func (r run) GetWithOptions(ctx context.Context, into any, _ client.WorkflowRunGetOptions) error {
	return r.Get(ctx, into)
}

func (r run) Get(ctx context.Context, into any) error {
	if r.outcome == nil {
		ended := r.canceled
		if r.hangs {
			ended = nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return &temporal.WorkflowExecutionError{}
		}
	}
	conclusion, err := r.outcome()
	if err == nil {
		*into.(*workflows.ManualRunResult) = workflows.ManualRunResult{Conclusion: conclusion}
	}
	return err
}

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "registry.example/check:1"}}}
}

func newCheck(engine client.Client) *external.Checker {
	config := &khcheckcrd.KuberhealthyCheck{}
	config.Name, config.Namespace, config.Spec.PodSpec = "cart", "shop", podSpec()
	ext := external.New(&kubernetes.Clientset{}, config, nil, nil, "http://here/externalCheckStatus")
	ext.RunTimeout, ext.TemporalClient = time.Minute, engine
	return ext
}

func newJob(engine client.Client) *external.Checker {
	config := &khjobcrd.KuberhealthyJob{}
	config.Name, config.Namespace, config.Spec.PodSpec = "cart", "shop", podSpec()
	ext := external.NewJob(&kubernetes.Clientset{}, config, nil, nil, "http://here/externalCheckStatus")
	ext.RunTimeout, ext.TemporalClient = time.Minute, engine
	return ext
}

var cartRef = check.Ref{Kind: khv1.KHCheck, Namespace: "shop", Name: "cart"}

func TestRunOnceReturnsWhatKuberhealthySays(t *testing.T) {
	tests := []struct {
		name       string
		conclusion check.Conclusion
		want       string // empty for none
		is         error
	}{
		{name: "success", conclusion: check.Conclusion{Outcome: check.Succeeded, Reported: true}},
		{name: "the check's own errors are no error", conclusion: check.Conclusion{Outcome: check.Failed, Errors: []string{"broken"}, Reported: true}},
		{
			name:       "an error of the check that looks like one of ours",
			conclusion: check.Conclusion{Outcome: check.Failed, Errors: []string{"Check execution error: x"}, Reported: true},
		},
		{name: "no report", conclusion: check.NoReport(check.Observation{}).Conclude(cartRef), want: "shop/cart: timed out waiting for checker pod to report in"},
		{name: "no exit", conclusion: check.NoExit(check.Observation{}).Conclude(cartRef), want: "shop/cart: timed out waiting for pod to exit"},
		{
			name: "image", conclusion: check.CannotStart(check.Observation{Hopeless: "ErrImagePull"}).Conclude(cartRef),
			want: "shop/cart: error when waiting for pod to start: ErrImagePull",
		},
		{
			name: "deleted while it ran", conclusion: check.Removed(check.Observation{Started: true, Gone: true}).Conclude(cartRef),
			want: "pod deleted unexpectedly", is: external.ErrPodRemovedUnexpectedly,
		},
		{
			name: "deleted before it ran", conclusion: check.Removed(check.Observation{Gone: true}).Conclude(cartRef),
			want: "shop/cart: error when waiting for pod to start: the khcheck check pod is deleted, waiting for start failed",
			is:   external.ErrPodDeletedBeforeRunning,
		},
		{
			name: "evicted", conclusion: check.Removed(check.Observation{Gone: true, Disrupted: true}).Conclude(cartRef),
			want: "pod deleted expectedly", is: external.ErrPodRemovedExpectedly,
		},
		{name: "cancelled by someone else", conclusion: check.Conclusion{Outcome: check.Canceled}, want: "run shop/cart: it was cancelled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := newCheck(newTemporal(tt.conclusion)).RunOnce(t.Context())
			switch {
			case tt.want == "" && err != nil, tt.want != "" && (err == nil || err.Error() != tt.want):
				t.Errorf("error is %v, want %q", err, tt.want)
			case tt.is != nil && !errors.Is(err, tt.is):
				t.Errorf("error %v is not %v", err, tt.is)
			}
		})
	}
}

func TestRunAsksForTheRunOfItsFields(t *testing.T) {
	engine := newTemporal(check.Conclusion{Outcome: check.Succeeded, Reported: true})
	ext := newCheck(engine)
	ext.ExtraLabels["team"], ext.ExtraAnnotations["note"] = "payments", "x"
	if err := ext.Run(t.Context(), &kubernetes.Clientset{}); err != nil {
		t.Fatal(err)
	}
	in := engine.input
	if in.Timeout != time.Minute {
		t.Errorf("timeout is %s", in.Timeout)
	}
	want := check.Workload{
		Ref: cartRef, Timeout: "1m0s", PodSpec: podSpec(),
		ExtraLabels: map[string]string{"team": "payments"}, ExtraAnnotations: map[string]string{"note": "x"},
	}
	if diff := cmp.Diff(want, in.Given.Workload); diff != "" || in.Given.ReportingURL != "http://here/externalCheckStatus" {
		t.Errorf("reporting URL %q, workload (-want +got):\n%s", in.Given.ReportingURL, diff)
	}
	o := engine.options
	if o.ID != "khcheck/shop/cart/manual" || o.TaskQueue != "khronicle" {
		t.Errorf("workflow %s on %s", o.ID, o.TaskQueue)
	}
	if o.WorkflowIDConflictPolicy != enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING || o.WorkflowIDReusePolicy != enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE {
		t.Errorf("conflict policy %s, reuse policy %s; want the open run, or else a new one", o.WorkflowIDConflictPolicy, o.WorkflowIDReusePolicy)
	}
	if ext.RunID != "uuid-of-the-run" {
		t.Errorf("RunID is %q, want that of the run which gave the outcome", ext.RunID)
	}
	if !slices.ContainsFunc(ext.PodSpec.Containers[0].Env, func(e corev1.EnvVar) bool {
		return e.Name == external.KHRunUUID && e.Value == ext.RunID
	}) {
		t.Errorf("the pod spec has the variables %v, want the UUID of the run", ext.PodSpec.Containers[0].Env)
	}
	if diff := cmp.Diff(podSpec(), ext.OriginalPodSpec); diff != "" || ext.PodSpec.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("pod spec was not completed in PodSpec, or original changed (-want +got):\n%s", diff)
	}
}

func TestRunOfAJob(t *testing.T) {
	engine := newTemporal(check.NoReport(check.Observation{}).Conclude(check.Ref{Kind: khv1.KHJob, Namespace: "shop", Name: "cart"}))
	err := newJob(engine).RunOnce(t.Context())
	if want := "shop/cart: timed out waiting for checker pod to report in"; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %q", err, want)
	}
	if engine.options.ID != "khjob/shop/cart/manual" {
		t.Errorf("workflow is %s", engine.options.ID)
	}
}

func TestRunOnceRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*external.Checker)
		want   string
	}{
		{"blank name", func(c *external.Checker) { c.CheckName = "" }, "check name can not be empty"},
		{"blank namespace", func(c *external.Checker) { c.Namespace = "" }, "check namespace can not be empty"},
		{"no client", func(c *external.Checker) { c.KubeClient = nil }, "kubeClient can not be nil"},
		{"no timeout", func(c *external.Checker) { c.RunTimeout = 0 }, `RunTimeout: "0s" is not a duration above 0: set it before the run`},
		{
			"reporting URL without a scheme", func(c *external.Checker) {
				c.KuberhealthyReportingURL = "kuberhealthy.kuberhealthy.svc:80/externalCheckStatus"
			},
			`KuberhealthyReportingURL: not a URL such as "http://kuberhealthy.kuberhealthy.svc.cluster.local/externalCheckStatus"`,
		},
		{"empty pod spec", func(c *external.Checker) { c.OriginalPodSpec = corev1.PodSpec{} }, "no containers found in checks PodSpec"},
		{
			"no image", func(c *external.Checker) { c.OriginalPodSpec.Containers[0].Image = "" },
			"no image found in check's PodSpec for container main.",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ext := newCheck(&fakeTemporal{}) // asking it for a run panics
			tt.change(ext)
			if err := ext.RunOnce(t.Context()); err == nil || err.Error() != tt.want {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
}

func TestRunReturnsTheRefusalOfTemporal(t *testing.T) {
	engine := newTemporal(check.Conclusion{})
	engine.refuse = errors.New("no such namespace")
	err := newCheck(engine).RunOnce(t.Context())
	if want := "ask for a run of shop/cart: no such namespace"; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %q", err, want)
	}
	engine = newTemporal(check.Conclusion{})
	engine.outcome = func() (check.Conclusion, error) { return check.Conclusion{}, errors.New("terminated") }
	err = newCheck(engine).RunOnce(t.Context())
	if want := "run shop/cart: terminated"; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %q", err, want)
	}
}

func TestShutdownEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := neverEnds()
		ext := newCheck(engine)
		ended := make(chan error, 1)
		go func() { ended <- ext.RunOnce(t.Context()) }()
		synctest.Wait()
		if err := ext.RunOnce(t.Context()); err == nil || !strings.Contains(err.Error(), "it runs already") {
			t.Errorf("second run at the same time: %v", err)
		}
		if err := ext.Shutdown(); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("RunOnce returns %v after Shutdown, want none", err)
		}
		if err := ext.Shutdown(); err != nil {
			t.Errorf("Shutdown without a run: %v", err)
		}
	})
}

func TestEndOfTheContextEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := neverEnds()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := newCheck(engine).RunOnce(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v, want that of the context", err)
		}
		select {
		case <-engine.canceled:
		default:
			t.Error("the run was not cancelled")
		}
	})
}

func TestShutdownTimesOutWhenTheRunDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := neverEnds()
		engine.hangs = true
		ext := newCheck(engine)
		go func() { _ = ext.RunOnce(t.Context()) }()
		synctest.Wait()
		if err := ext.Shutdown(); err == nil || err.Error() != "timed out when waiting for pod to shutdown" {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

func TestAccessorsReturnFieldsAndDefaults(t *testing.T) {
	config := &khcheckcrd.KuberhealthyCheck{}
	config.Name, config.Spec.PodSpec, config.Spec.Timeout = "cart", podSpec(), "1m"
	ext := external.NewCheck(nil, config, nil, nil, "url")
	want := []any{"cart", "kuberhealthy", 15 * time.Minute, time.Duration(0), khv1.KHCheck}
	if diff := cmp.Diff(want, []any{ext.Name(), ext.CheckNamespace(), ext.Timeout(), ext.Interval(), ext.KHWorkload}); diff != "" {
		t.Errorf("name, namespace, timeout, interval and workload (-want +got):\n%s", diff)
	}
	if config.Namespace != "" {
		t.Errorf("the configuration was changed: its namespace is %q", config.Namespace)
	}
	job := external.NewJob(nil, &khjobcrd.KuberhealthyJob{}, nil, nil, "url")
	if job.Timeout() != 0 || job.KHWorkload != khv1.KHJob {
		t.Errorf("job is %+v", job)
	}
}

// A run that ends in the moment in which it is to stop keeps its outcome.
func TestRunThatEndsWhileItIsStoppedKeepsItsOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := neverEnds()
		engine.late = &check.Conclusion{Outcome: check.Failed, Errors: []string{"broken"}, Reported: true}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ext := newCheck(engine)
		if err := ext.RunOnce(ctx); err != nil || ext.RunID != "uuid-of-the-run" {
			t.Errorf("error %v, run %s; want the outcome", err, ext.RunID)
		}
	})
}

// When Shutdown comes before the call has asked for a run, no run is asked for.
func TestShutdownBeforeTheRunAsksForNone(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-answer
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	checks, err := khcheckcrd.Client(external.CRDGroup, external.CRDVersion, apitest.Kubeconfig(t, server.URL), "shop")
	if err != nil {
		t.Fatal(err)
	}
	ext := newCheck(&fakeTemporal{refuse: errors.New("was asked for a run")})
	ext.KHCheckClient = checks
	ran, stopped := make(chan error, 1), make(chan error, 1)
	go func() { ran <- ext.RunOnce(t.Context()) }()
	<-asked
	go func() { stopped <- ext.Shutdown() }()
	select {
	case err := <-stopped:
		t.Fatalf("Shutdown returned %v before the call had ended", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(answer)
	if err := <-ran; err != nil {
		t.Errorf("RunOnce: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestRunReturnsWhyItCouldNotBeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := neverEnds()
		engine.refuseCancel = errors.New("no route to host")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := newCheck(engine).RunOnce(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "cancel the run: no route to host") {
			t.Errorf("error is %v, want that of the context, and why the run goes on", err)
		}
	})
}

// serverOf returns an API server that has these objects and, with a refusal, answers every request with it.
func serverOf(refusal *apierrors.StatusError, objects ...runtime.Object) *apitest.Server {
	server := apitest.New(objects...)
	server.Refuse(refusal)
	return server
}

var forbidden = apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("not allowed"))

// meta is that of a check, job or state shop/cart.
func meta(kind string) (metav1.TypeMeta, metav1.ObjectMeta) {
	return metav1.TypeMeta{APIVersion: khv1.GroupVersion.String(), Kind: kind},
		metav1.ObjectMeta{Namespace: "shop", Name: "cart", UID: "u-7", Generation: 3}
}

func TestCurrentStatus(t *testing.T) {
	state := func(ok bool, errors ...string) *apitest.Server {
		s := &khv1.KuberhealthyState{Spec: khv1.WorkloadDetails{OK: ok, Errors: append([]string{}, errors...)}}
		s.TypeMeta, s.ObjectMeta = meta(khv1.StateKind)
		return serverOf(nil, s)
	}
	tests := []struct {
		name   string
		server *apitest.Server
		ok     bool
		errors []string
	}{
		{"up before the first run", serverOf(nil), true, []string{}},
		{"up", state(true), true, []string{}},
		{"down", state(false, "a", "b"), false, []string{"a", "b"}},
		{"the errors decide", state(true, "a"), false, []string{"a"}},
		{"the state cannot be read", serverOf(forbidden), false, []string{"forbidden: not allowed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			states, err := khstatecrd.Client(external.CRDGroup, external.CRDVersion, tt.server.Kubeconfig(t), "shop")
			if err != nil {
				t.Fatal(err)
			}
			ext := newCheck(nil)
			ext.KHStateClient = states
			ok, errs := ext.CurrentStatus()
			if diff := cmp.Diff(tt.errors, errs); diff != "" || ok != tt.ok {
				t.Errorf("status %t, errors (-want +got):\n%s", ok, diff)
			}
		})
	}
	if ok, errs := newCheck(nil).CurrentStatus(); ok || len(errs) != 1 {
		t.Errorf("without a client: %t, %v", ok, errs)
	}
}

// The pods belong to the check or job, if there is one: then they go when it goes.
func TestPodsBelongToTheCheckOrJobIfThereIsOne(t *testing.T) {
	var khcheck khv1.KuberhealthyCheck
	khcheck.TypeMeta, khcheck.ObjectMeta = meta(khv1.CheckKind)
	var khjob khv1.KuberhealthyJob
	khjob.TypeMeta, khjob.ObjectMeta = meta(khv1.JobKind)
	for _, tt := range []struct {
		name   string
		server *apitest.Server
		want   check.Ref
		fails  string
	}{
		{name: "in the cluster", server: serverOf(nil, &khcheck, &khjob), want: check.Ref{UID: "u-7", Generation: 3}},
		{name: "not in the cluster", server: serverOf(nil)},
		{name: "unknown", server: serverOf(forbidden), fails: "find the owner of the pods of shop/cart: forbidden: not allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kubeconfig := tt.server.Kubeconfig(t)
			checks, err := khcheckcrd.Client(external.CRDGroup, external.CRDVersion, kubeconfig, "shop")
			if err != nil {
				t.Fatal(err)
			}
			jobs, err := khjobcrd.Client(kubeconfig)
			if err != nil {
				t.Fatal(err)
			}
			for _, ext := range []*external.Checker{newCheck(nil), newJob(nil)} {
				engine := newTemporal(check.Conclusion{Outcome: check.Succeeded, Reported: true})
				ext.TemporalClient, ext.KHCheckClient, ext.KHJobClient = engine, checks, jobs
				err := ext.RunOnce(t.Context())
				if tt.fails != "" {
					if err == nil || err.Error() != tt.fails {
						t.Errorf("%s: error is %v, want %q", ext.KHWorkload, err, tt.fails)
					}
					continue
				}
				want := tt.want
				want.Kind, want.Namespace, want.Name = ext.KHWorkload, "shop", "cart"
				if err != nil || engine.input.Ref != want || engine.input.Given.Workload.Ref != want {
					t.Errorf("%s: ref is %+v, error %v, want %+v", ext.KHWorkload, engine.input.Ref, err, want)
				}
			}
		})
	}
}
