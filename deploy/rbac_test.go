package deploy_test

import (
	"context"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/apitest"
	"github.com/khronicle/khronicle/kube"
	"github.com/khronicle/khronicle/reportapi"
	"github.com/khronicle/khronicle/starter"
	"github.com/khronicle/khronicle/view"
)

// calls makes each method of kube.Cluster that asks the API server do all that it can ask for. The answers, which are
// those of an API server that has nothing, do not matter.
var calls = map[string]func(ctx context.Context, c *kube.Cluster){
	"Start":     func(ctx context.Context, c *kube.Cluster) { c.Start(ctx); _ = c.WaitForSync(ctx) },
	"Reachable": func(ctx context.Context, c *kube.Cluster) { _ = c.Reachable(ctx) },
	"LiveCheck": func(ctx context.Context, c *kube.Cluster) { _, _ = c.LiveCheck(ctx, "ns", "x") },
	"CreatePod": func(ctx context.Context, c *kube.Cluster) {
		_, _ = c.CreatePod(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "x"}})
	},
	"LivePod":   func(ctx context.Context, c *kube.Cluster) { _, _ = c.LivePod(ctx, "ns", "x") },
	"DeletePod": func(ctx context.Context, c *kube.Cluster) { _ = c.DeletePod(ctx, "ns", "x") },
	// It asks as LivePod does, after a while.
	"AwaitPod":     func(context.Context, *kube.Cluster) {},
	"PodEvents":    func(ctx context.Context, c *kube.Cluster) { _, _ = c.PodEvents(ctx, "ns", "x") },
	"PodLog":       func(ctx context.Context, c *kube.Cluster) { _, _ = c.PodLog(ctx, "ns", "x", "main") },
	"NodeRuntime":  func(ctx context.Context, c *kube.Cluster) { _, _ = c.NodeRuntime(ctx, "x") },
	"FollowPodLog": func(ctx context.Context, c *kube.Cluster) { _, _ = c.FollowPodLog(ctx, "ns", "x", "main") },
	"Node":         func(ctx context.Context, c *kube.Cluster) { _, _ = c.Node(ctx, "x") },
	"Lives":        func(ctx context.Context, c *kube.Cluster) { _, _ = c.Lives(ctx, "ns", "x") },
	"Workload": func(ctx context.Context, c *kube.Cluster) {
		for _, kind := range []khv1.KHWorkload{khv1.KHCheck, khv1.KHJob} {
			_, _, _ = c.Workload(ctx, check.Ref{Kind: kind, Namespace: "ns", Name: "x"})
		}
	},
	"WriteState": func(ctx context.Context, c *kube.Cluster) {
		_ = c.WriteState(ctx, "ns", "x", func(*khv1.KuberhealthyState) *khv1.KuberhealthyState {
			return &khv1.KuberhealthyState{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "x"}}
		})
	},
	"SetJobPhase": func(ctx context.Context, c *kube.Cluster) {
		_ = c.SetJobPhase(ctx, check.Ref{Kind: khv1.KHJob, Namespace: "ns", Name: "x"}, khv1.JobRunning)
	},
	"WriteCheckStatus": func(ctx context.Context, c *kube.Cluster) {
		_, _ = c.WriteCheckStatus(ctx, aCheck(), khv1.CheckStatus{ObservedGeneration: 1})
	},
	// The second one makes a series of the first.
	"Announce": func(_ context.Context, c *kube.Cluster) {
		for range 2 {
			c.Announce(aCheck(), check.StatusEvent{Reason: check.EventFailing, Action: "Run", Note: "it failed"})
		}
	},
	"Observe": func(ctx context.Context, c *kube.Cluster) { _, _ = c.Observe(ctx, "ns", "x") },
	"DeleteState": func(ctx context.Context, c *kube.Cluster) {
		_ = c.DeleteState(ctx, &khv1.KuberhealthyState{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "x"}})
	},
	"DeleteJob": func(ctx context.Context, c *kube.Cluster) {
		_ = c.DeleteJob(ctx, &khv1.KuberhealthyJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "x"}})
	},
}

func aCheck() *khv1.KuberhealthyCheck {
	return &khv1.KuberhealthyCheck{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "x", UID: "uid-of-x"}}
}

// cached are the methods that read what was watched and ask for nothing.
var cached = []string{
	"Check", "Checks", "HasPod", "IsJob", "Job", "Jobs", "OnCheckChange", "OnJobChange", "OnStateChange", "Pod", "Pods", "PodsOf", "Requested", "RunByPodIP", "State", "States", "Synced",
	"UnfinishedPods", "WaitForSync", "Watches", "WithoutState",
}

func methods[T any]() []string {
	var names []string
	for i := range reflect.TypeFor[T]().NumMethod() {
		names = append(names, reflect.TypeFor[T]().Method(i).Name)
	}
	return names
}

func TestEveryMethodOfClusterIsAccountedFor(t *testing.T) {
	known := slices.Clone(cached)
	for name := range calls {
		known = append(known, name)
	}
	slices.Sort(known)
	if diff := cmp.Diff(known, methods[*kube.Cluster]()); diff != "" {
		t.Errorf("accounted for -, present +:\n%s", diff)
	}
}

// A role may do what its calls need, and nothing more.
func TestRolesMayDoWhatTheyAskFor(t *testing.T) {
	tests := []struct {
		role  string
		watch kube.Options
		calls []string
		// further is a role that a component adds.
		further string
	}{
		{
			role:  "worker",
			watch: kube.Options{Checks: true, Jobs: true, States: true, Pods: true},
			calls: append(methods[activities.Cluster](), "DeleteJob", "DeleteState", "Lives"), // the reaper's
		},
		{role: "starter", watch: kube.Options{Checks: true, Jobs: true, States: true, Events: true}, calls: methods[starter.Cluster]()},
		{role: "reportapi", watch: kube.Options{Checks: true, Jobs: true, States: true}, calls: methods[view.Cluster]()},
		{
			role: "reportapi", further: "khronicle-reportapi-source-ip",
			watch: kube.Options{Checks: true, Jobs: true, States: true, Pods: true},
			calls: append(methods[view.Cluster](), methods[reportapi.PodFinder]()...),
		},
	}
	for _, test := range tests {
		t.Run(strings.TrimSpace(test.role+" "+test.further), func(t *testing.T) {
			asked := requests(t, test.watch, test.calls)
			if diff := cmp.Diff(asked, allowed(t, "khronicle-"+test.role, test.further)); diff != "" {
				t.Errorf("asked for -, allowed +:\n%s", diff)
			}
		})
	}
}

// allowed returns what ClusterRoles of the manifests and their components allow, as "verb resource" or "verb /path".
func allowed(t *testing.T, names ...string) []string {
	t.Helper()
	var all []string
	_, further := readComponent(t, "source-ip")
	for _, role := range of[*rbacv1.ClusterRole](append(manifests(t), further...)) {
		if !slices.Contains(names, role.Name) {
			continue
		}
		for _, rule := range role.Rules {
			for _, object := range slices.Concat(rule.Resources, rule.NonResourceURLs) {
				if slices.Contains(rule.APIGroups, "events.k8s.io") {
					object += ".events.k8s.io" // two groups have events
				}
				for _, verb := range rule.Verbs {
					all = append(all, verb+" "+object)
				}
				if group := groups[object]; rule.Resources != nil && !slices.Equal(rule.APIGroups, []string{group}) {
					t.Errorf("%s: %s is in group %q, not in %q", role.Name, object, group, rule.APIGroups)
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// groups are the API groups of the resources. That of core resources is empty.
var groups = map[string]string{
	khv1.CheckResource:             khv1.GroupVersion.Group,
	khv1.CheckResource + "/status": khv1.GroupVersion.Group,
	khv1.JobResource:               khv1.GroupVersion.Group,
	khv1.StateResource:             khv1.GroupVersion.Group,
	"events.events.k8s.io":         "events.k8s.io",
}

// requests returns what a role asks for, as "verb resource" or "verb /path", when it watches and calls these. The API
// server has nothing, but what is to be created turns out to be there.
func requests(t *testing.T, watch kube.Options, names []string) []string {
	t.Helper()
	server := apitest.New().WithoutStreamingLists()
	server.SetAnswer(func(r *http.Request) *apierrors.StatusError {
		if r.Method != http.MethodPost {
			return nil
		}
		server.PutUnseen(&khv1.KuberhealthyState{
			TypeMeta:   metav1.TypeMeta{APIVersion: khv1.GroupVersion.String(), Kind: khv1.StateKind},
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "x"},
		})
		return apierrors.NewAlreadyExists(corev1.Resource("any"), "x")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	watch.Config = server.Config()
	cluster, err := kube.New(watch)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append([]string{"Start", "Reachable"}, names...) {
		if call := calls[name]; call != nil {
			call(ctx, cluster)
		}
	}
	asked := map[string]bool{}
	for {
		for _, r := range server.Requests() {
			asked[r.Verb+" "+r.Resource] = true
		}
		announced := !slices.Contains(names, "Announce") || asked["patch events.events.k8s.io"]
		if watched(asked) && announced { // a watch begins after its list, and events are sent later
			return slices.Sorted(maps.Keys(asked))
		}
		select {
		case <-ctx.Done():
			t.Fatal("the calls take too long")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// watched is true when everything that was listed is watched, but for the events of a pod.
func watched(asked map[string]bool) bool {
	for request := range asked {
		if object, listed := strings.CutPrefix(request, "list "); listed && object != "events" && !asked["watch "+object] {
			return false
		}
	}
	return true
}
