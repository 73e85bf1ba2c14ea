package kube_test

import (
	"net/netip"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/apitest"
	"github.com/khronicle/khronicle/kube"
)

// at is a pod of a run with these addresses.
func at(name, run string, phase corev1.PodPhase, ips ...string) *corev1.Pod {
	pod := in(checkerPod(name), phase)
	pod.Labels["kuberhealthy-run-id"] = run
	for i, ip := range ips {
		if i == 0 {
			pod.Status.PodIP = ip
		}
		pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: ip})
	}
	return pod
}

func TestRunByPodIP(t *testing.T) {
	onNode := at("node-1", "run-node", corev1.PodRunning, "10.9.0.1")
	onNode.Spec.HostNetwork = true
	beside := at("beside-1", "run-beside", corev1.PodRunning, "10.9.0.2")
	onTheSameNode := at("beside-2", "run-node", corev1.PodRunning, "10.9.0.2")
	onTheSameNode.Spec.HostNetwork = true
	first := at("first-1", "run-first", corev1.PodRunning)
	first.Status.PodIP = "10.0.0.5" // by a kubelet that fills in this field alone
	mapped := at("mapped-1", "run-mapped", corev1.PodRunning, "::ffff:10.0.0.9")
	nameless := at("nameless-1", "", corev1.PodRunning, "10.0.0.10")
	foreign := at("foreign-1", "run-foreign", corev1.PodRunning, "10.0.0.11")
	delete(foreign.Labels, "kuberhealthy-check-name")
	elsewhere := at("twin-2", "run-twin-2", corev1.PodRunning, "10.0.0.6")
	elsewhere.Namespace = "bank"
	ofJob := at("job-1", "run-job", corev1.PodRunning, "10.0.0.12")
	ofJob.OwnerReferences = check.OwnersOf(check.Ref{Kind: khv1.KHJob, Name: "cart", UID: "u-1"})
	present := []runtime.Object{
		ofJob, onNode, beside, onTheSameNode, first, mapped, nameless, foreign, elsewhere,
		at("dual-1", "run-dual", corev1.PodRunning, "10.0.0.4", "fd00:10::4"),
		at("twin-1", "run-twin-1", corev1.PodRunning, "10.0.0.6"),
		at("old-1", "run-old", corev1.PodSucceeded, "10.0.0.7"), at("old-2", "run-old", corev1.PodFailed, "10.0.0.7"),
		at("new-1", "run-new", corev1.PodRunning, "10.0.0.7"),
		at("pending-1", "run-pending", corev1.PodPending, "10.0.0.8"), at("odd-1", "run-odd", corev1.PodRunning, "?", ""),
	}
	tests := []struct{ name, ip, want string }{
		{"pod of a job", "10.0.0.12", "run-job"},
		{"first of two families", "10.0.0.4", "run-dual"},
		{"second of two families", "fd00:10::4", "run-dual"},
		{"another spelling", "fd00:0010:0:0::0004", "run-dual"},
		{"IPv4 within IPv6", "::ffff:10.0.0.4", "run-dual"},
		{"with a zone", "fd00:10::4%eth0", "run-dual"},
		{"field of one address alone", "10.0.0.5", "run-first"},
		{"pod with IPv4 within IPv6", "10.0.0.9", "run-mapped"},
		{"two pods, of two namespaces", "10.0.0.6", ""},
		{"the pods before have ended", "10.0.0.7", "run-new"},
		{"pod that does not run yet", "10.0.0.8", ""},
		{"pod in the network of its node", "10.9.0.1", ""},
		{"pod at the address of another's node", "10.9.0.2", "run-beside"},
		{"pod without a run", "10.0.0.10", ""},
		{"pod that is no checker pod", "10.0.0.11", ""},
		{"no pod", "10.0.0.99", ""},
	}
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(present...)
		cluster := synced(t, api, watching)
		for _, tt := range tests {
			of, run, ok := cluster.RunByPodIP(netip.MustParseAddr(tt.ip))
			want := check.Ref{}
			if tt.want != "" {
				want = check.Ref{Namespace: "shop", Name: "cart"}
			}
			if tt.want == "run-job" {
				want.Kind = khv1.KHJob
			}
			if run != tt.want || of != want || ok != (tt.want != "") {
				t.Errorf("%s: got %q of %v, %t, want %q of %v", tt.name, run, of, ok, tt.want, want)
			}
		}
		if _, run, ok := cluster.RunByPodIP(netip.Addr{}); ok {
			t.Errorf("no address: got %q", run)
		}
		if calls := api.Requests().Calls(); len(calls) != 0 {
			t.Errorf("the API server was asked: %v", calls)
		}
	})
}

// An address belongs to a pod from the event that the pod runs until the event that it has ended or was deleted.
func TestRunByPodIPFollowsThePods(t *testing.T) {
	address := netip.MustParseAddr("10.0.0.4")
	pod := func(name, run string, phase corev1.PodPhase) *corev1.Pod { return at(name, run, phase, "10.0.0.4") }
	steps := []struct {
		name   string
		change func(*apitest.Server)
		want   string
	}{
		{"created", func(a *apitest.Server) { a.Put(pod("cart-1", "run-1", corev1.PodPending)) }, ""},
		{"runs", func(a *apitest.Server) { a.Put(pod("cart-1", "run-1", corev1.PodRunning)) }, "run-1"},
		{"has ended", func(a *apitest.Server) { a.Put(pod("cart-1", "run-1", corev1.PodSucceeded)) }, ""},
		{"its address is another's", func(a *apitest.Server) { a.Put(pod("cart-2", "run-2", corev1.PodRunning)) }, "run-2"},
		{"the other is deleted", func(a *apitest.Server) { a.Remove("pods", "shop", "cart-2") }, ""},
		{"a third", func(a *apitest.Server) { a.Put(pod("cart-3", "run-3", corev1.PodRunning)) }, "run-3"},
		{"and a fourth", func(a *apitest.Server) { a.Put(pod("cart-4", "run-4", corev1.PodRunning)) }, ""},
	}
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New()
		cluster := synced(t, api, watching)
		for _, step := range steps {
			step.change(api)
			synctest.Wait()
			if _, run, _ := cluster.RunByPodIP(address); run != step.want {
				t.Errorf("%s: got %q, want %q", step.name, run, step.want)
			}
		}
	})
}

func TestRunByPodIPInSeveralNamespaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inBank := at("cart-2", "run-2", corev1.PodRunning, "10.0.0.5")
		inBank.Namespace = "bank"
		watched := watching
		watched.Namespaces = []string{"shop", "bank"}
		cluster := synced(t, apitest.New(at("cart-1", "run-1", corev1.PodRunning, "10.0.0.4"), inBank), watched)
		for ip, want := range map[string]string{"10.0.0.4": "shop/cart run-1", "10.0.0.5": "bank/cart run-2"} {
			if of, run, _ := cluster.RunByPodIP(netip.MustParseAddr(ip)); of.String()+" "+run != want {
				t.Errorf("%s: got %s %s, want %s", ip, of, run, want)
			}
		}
	})
}

func TestRunByPodIPFindsNothingWithoutACacheOfPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := synced(t, apitest.New(at("cart-1", "run-1", corev1.PodRunning, "10.0.0.4")), kube.Options{Checks: true})
		if _, run, ok := cluster.RunByPodIP(netip.MustParseAddr("10.0.0.4")); ok {
			t.Errorf("got %q", run)
		}
	})
}
