// Package cli_test runs the command line as a process, against an API server and the REST API with its ledger. It is a module of its
// own, so that the script runner is no dependency of the product.
package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/apitest"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/kube"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/reportapi/rest"
	"github.com/khronicle/khronicle/view"
	"github.com/khronicle/khronicle/web"
)

// programs is a directory with the program, under both of its names.
var programs string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	if err := kube.RegisterTypes(khv1.GroupVersion.Group, khv1.GroupVersion.Version); err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "khronicle-cli")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	programs = dir
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "khronicle"), "./cmd/khronicle")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		panic("go build ./cmd/khronicle: " + err.Error() + "\n" + string(out))
	}
	if err := os.Symlink("khronicle", filepath.Join(dir, "kubectl-khronicle")); err != nil {
		panic(err)
	}
	return m.Run()
}

// Run UUIDs of runs that have ended, and of one that is open.
const (
	cartRun = "11111111-52b7-4d0a-9a41-7be0d2f5c913"
	payRun  = "22222222-52b7-4d0a-9a41-7be0d2f5c913"
	openRun = "33333333-52b7-4d0a-9a41-7be0d2f5c913"
)

// Each script runs the program as a process against an API server, and the REST API over a ledger behind its service proxy.
func TestVerbs(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			w := newWorld(t, env)
			env.Values["world"] = w
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "starter": starterDoes, "api": breakAPI, "field": field, "outcome": outcome,
			"pod": putPod, "says": says, "phase": phase, "deny": deny, "fetch": fetch,
			"broken": breakInstallation,
		},
	})
}

// world is a cluster with Khronicle in it.
type world struct {
	api *apitest.Server
	// down is how many further requests for a check the API server does not answer.
	down atomic.Int32
	// empty is true while the Service has no endpoints.
	empty atomic.Bool
	stop  context.Context
	// logs are those of the containers, by POD/CONTAINER. denied are the verbs and resources that the user may not use.
	mu     sync.Mutex
	logs   map[string]string
	denied map[string]bool
	// broken are the faults that the command doctor has to find.
	broken atomic.Pointer[broken]
}

func newWorld(t *testing.T, env *testscript.Env) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	now := time.Now().UTC().Truncate(time.Second)
	w := &world{api: apitest.New(shop(now)...), stop: ctx, logs: map[string]string{}, denied: map[string]bool{}}
	w.broken.Store(&broken{})
	records, err := ledger.Open(ctx, "sqlite:"+filepath.Join(env.WorkDir, "ledger.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fillShop(t, records, now)
	cluster, err := kube.New(kube.Options{Config: w.api.Config(), Checks: true, Jobs: true, States: true})
	if err != nil {
		t.Fatal(err)
	}
	cluster.Start(ctx)
	if err := cluster.WaitForSync(ctx); err != nil {
		t.Fatal(err)
	}
	shown := view.New(view.Options{Cluster: cluster, Ledger: records})
	if err := shown.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	api, err := rest.New(rest.Options{View: shown, Synced: cluster.Synced, Stopping: ctx.Done(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	e := echo.New()
	api.Register(e)
	pages, err := web.New(web.Options{View: shown, Synced: cluster.Synced, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append([]string{"/"}, web.Paths...) {
		e.GET(path, echo.WrapHandler(pages.Handler()))
	}
	e.GET("/readyz", echo.WrapHandler(http.HandlerFunc(ready)))
	server, direct := httptest.NewServer(w.proxy(e)), httptest.NewServer(e)
	env.Defer(func() {
		cancel()
		for _, s := range []*httptest.Server{server, direct} {
			s.CloseClientConnections()
			s.Close()
		}
		if err := records.Close(); err != nil {
			t.Error(err)
		}
	})
	env.Setenv("PATH", programs+string(filepath.ListSeparator)+env.Getenv("PATH"))
	env.Setenv("KUBECONFIG", apitest.Kubeconfig(t, server.URL))
	env.Setenv("SERVER", direct.URL)
	env.Setenv("LEDGER", "sqlite:"+filepath.Join(env.WorkDir, "ledger.db"))
	env.Setenv("PORT", freePort(t))
	for name, value := range map[string]string{"HOME": env.WorkDir, "CART_RUN": cartRun, "PAY_RUN": payRun, "OPEN_RUN": openRun} {
		env.Setenv(name, value)
	}
	return w
}

// proxy is the API server with the service proxy.
func (w *world) proxy(report http.Handler) http.Handler {
	const prefix = "/api/v1/namespaces/kuberhealthy/services/kuberhealthy:80/proxy"
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		refusal := w.refusal(r)
		switch {
		case refusal != nil:
			refuse(rw, refusal)
		case strings.HasSuffix(r.URL.Path, "/log"):
			w.serveLog(rw, r)
		case strings.HasPrefix(r.URL.Path, prefix) && w.empty.Load():
			refuse(rw, apierrors.NewServiceUnavailable(`no endpoints available for service "kuberhealthy:80"`))
		case strings.HasPrefix(r.URL.Path, prefix):
			http.StripPrefix(prefix, report).ServeHTTP(rw, r)
		case strings.Contains(r.URL.Path, "/khchecks/") && w.down.Add(-1) >= 0:
			refuse(rw, apierrors.NewServiceUnavailable("the API server is starting"))
		case w.serveInstallation(rw, r):
		default:
			w.api.ServeHTTP(rw, r)
		}
	})
}

func refuse(rw http.ResponseWriter, refusal *apierrors.StatusError) {
	status := refusal.Status()
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(int(status.Code))
	_ = json.NewEncoder(rw).Encode(status)
}

func shopMeta(name string, now time.Time) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(now.Add(-24 * time.Hour))}
}

// shop has a check of each state, and a job.
func shop(now time.Time) []runtime.Object {
	pod := corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example/check:1"}}}
	newCheck := func(name string) *khv1.KuberhealthyCheck {
		return &khv1.KuberhealthyCheck{ObjectMeta: shopMeta(name, now), Spec: khv1.CheckConfig{RunInterval: "5m", Timeout: "30s", PodSpec: pod}}
	}
	cart, pay, asleep, fresh := newCheck("cart"), newCheck("pay"), newCheck("asleep"), newCheck("new")
	pay.Labels = map[string]string{"team": "billing"}
	asleep.Spec.Suspend = true
	fresh.CreationTimestamp = metav1.NewTime(now)
	elsewhere := newCheck("dns")
	elsewhere.Namespace = "net"
	return []runtime.Object{
		cart, pay, asleep, fresh, elsewhere,
		&khv1.KuberhealthyJob{ObjectMeta: shopMeta("once", now), Spec: khv1.JobConfig{Timeout: "30s", Phase: khv1.JobCompleted, PodSpec: pod}},
		shopState(khv1.KHCheck, "cart", now, check.Succeeded), shopState(khv1.KHCheck, "pay", now, check.Failed),
		shopState(khv1.KHCheck, "asleep", now, check.Succeeded), shopState(khv1.KHJob, "once", now, check.Succeeded),
	}
}

// shopState is the state after one run, half a minute ago.
func shopState(kind khv1.KHWorkload, name string, now time.Time, outcome check.Outcome) *khv1.KuberhealthyState {
	tick := now.Add(-30 * time.Second)
	conclusion := check.Conclusion{Outcome: outcome, Started: tick, Concluded: tick.Add(1500 * time.Millisecond), Node: "node-1", Reported: true}
	if outcome != check.Succeeded {
		conclusion.Errors = []string{"card refused\x1b[31m"}
	}
	state := check.NewState(&khv1.KuberhealthyState{ObjectMeta: shopMeta(name, now)}, check.Ref{Kind: kind, Namespace: "shop", Name: name}, cartRun, "worker-0", conclusion)
	check.AddRecentRun(state, check.NewRecentRun(tick, conclusion))
	return state
}

// fillShop records a success, a failure with evidence, and an open run.
func fillShop(t *testing.T, records *ledger.Ledger, now time.Time) {
	t.Helper()
	record := func(name, uuid string, before time.Duration, outcome check.Outcome) ledger.Record {
		tick := now.Add(-before)
		r := ledger.Record{
			Key:  ledger.Key{CheckUID: "uid-" + name, Trigger: check.TriggerSchedule, Tick: tick},
			Kind: khv1.KHCheck, Namespace: "shop", Name: name, Outcome: outcome, Attempts: 1, Node: "node-1", WorkflowID: uuid,
			Started: tick, Concluded: tick.Add(1500 * time.Millisecond), Recorded: tick.Add(2 * time.Second),
		}
		if outcome == check.Failed {
			r.Errors = []string{"card refused\x1b[31m"}
		}
		return r
	}
	failed := record("pay", payRun, 30*time.Second, check.Failed)
	for _, r := range []ledger.Record{record("cart", cartRun, 30*time.Second, check.Succeeded), record("pay", "old", 26*time.Hour, check.Succeeded), failed} {
		if err := records.Finish(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	open := record("cart", openRun, 0, check.Unfinished)
	open.Concluded, open.Recorded = time.Time{}, time.Time{}
	err := errors.Join(
		records.PutEvidence(t.Context(), failed.Key, ledger.Evidence{Kind: check.EvidenceLog, Name: "1/main", Content: "dial tcp\x1b[31m refused\n"}),
		records.Begin(t.Context(), open),
	)
	if err != nil {
		t.Fatal(err)
	}
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value("world").(*world) }

// exits CODE PROGRAM ARGS…: the program exits with that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS…")
	}
	code := 0
	if ended := (*exec.ExitError)(nil); errors.As(ts.Exec(args[1], args[2:]...), &ended) {
		code = ended.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// starter CHECK PHASE[=OUTCOME[=UUID]]…: from now on, a request for a run of the check gets these phases, one after the other.
func starterDoes(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	go func() {
		var c khv1.KuberhealthyCheck
		for value := ""; value == ""; value = c.Annotations[protocol.AnnotationRequestedAt] {
			if w.stop.Err() != nil || !w.api.Object(khv1.CheckResource, "shop", args[0], &c) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		for _, phase := range args[1:] {
			parts := append(strings.Split(phase, "="), "", "")
			w.api.Object(khv1.CheckResource, "shop", args[0], &c)
			c.Status.LastRequest = &khv1.RunRequest{
				Value: c.Annotations[protocol.AnnotationRequestedAt], Phase: khv1.RunRequestPhase(parts[0]), Time: metav1.Now(), Outcome: parts[1], RunUUID: parts[2],
			}
			if parts[0] == string(khv1.RequestRefused) {
				c.Status.LastRequest.Outcome, c.Status.LastRequest.Message = "", parts[1]
			}
			w.api.Put(&c)
			time.Sleep(1500 * time.Millisecond) // the command looks each second
		}
	}()
}

// api break N: the next N requests for a check get 503. api empty: the Service has no endpoints.
func breakAPI(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	if args[0] == "empty" {
		w.empty.Store(true)
		return
	}
	n, err := strconv.ParseInt(args[1], 10, 32)
	ts.Check(err)
	w.down.Store(int32(n))
}

// field CHECK suspend|requested|reason|by WANT: the check has that value.
func field(ts *testscript.TestScript, neg bool, args []string) {
	var c khv1.KuberhealthyCheck
	if !worldOf(ts).api.Object(khv1.CheckResource, "shop", args[0], &c) {
		ts.Fatalf("there is no check %s", args[0])
	}
	got := map[string]string{
		"suspend": strconv.FormatBool(c.Spec.Suspend), "requested": c.Annotations[protocol.AnnotationRequestedAt],
		"reason": c.Annotations[protocol.AnnotationPauseReason], "by": c.Annotations[protocol.AnnotationPausedBy],
	}[args[1]]
	if (got == args[2]) == neg {
		ts.Fatalf("%s of %s is %q, want %q (or not: %t)", args[1], args[0], got, args[2], neg)
	}
}

// outcome CHECK OUTCOME: a run of the check ends so after a second.
func outcome(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	time.AfterFunc(time.Second, func() {
		w.api.Put(shopState(khv1.KHCheck, args[0], time.Now().UTC().Truncate(time.Second), check.Outcome(args[1])))
	})
}
