//go:build linux

package node

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
)

// Names of the components.
const (
	containerd        = "containerd"
	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	scheduler         = "kube-scheduler"
	kubelet           = "kubelet"
	kubeProxy         = "kube-proxy"
	coreDNS           = "coredns"
)

// Health endpoints inside the node.
const (
	coreDNSReadyURL  = "http://127.0.0.1:8182/ready"
	kubeProxyLiveURL = "http://127.0.0.1:10256/healthz"
)

// selfDir holds links to this program. Their names are those of components, and ps shows them. They lead to /proc/self/exe,
// which stays valid when a new build replaces the file while the cluster runs.
const selfDir = "/run/kubebox"

// linkSelf makes the links of selfDir.
func linkSelf(list []spec) error {
	if err := os.MkdirAll(selfDir, 0o755); err != nil {
		return fmt.Errorf("create %s: %w", selfDir, err)
	}
	for _, s := range list {
		if s.path != "" {
			continue
		}
		if err := os.Symlink("/proc/self/exe", filepath.Join(selfDir, s.name)); err != nil {
			return fmt.Errorf("link component: %w", err)
		}
	}
	return nil
}

// spec is the command line of a component.
type spec struct {
	name string
	// path of the executable; empty means this program itself, which becomes the component by the name it is called.
	path string
	args []string
}

// specs returns the components in the order in which status shows them.
func specs(c cluster.Cluster, o cluster.Options, containerdPath string) []spec {
	return []spec{
		{name: containerd, path: containerdPath, args: []string{"--config", c.Etc("containerd.toml")}},
		{name: etcd, args: etcdArgs(c)},
		{name: apiServer, args: apiServerArgs(c, o)},
		{name: controllerManager, args: controllerManagerArgs(c)},
		{name: scheduler, args: schedulerArgs(c)},
		{name: kubelet, args: []string{
			"--config=" + c.Etc("kubelet.yaml"),
			"--kubeconfig=" + c.PKI("kubelet-client.kubeconfig"),
			"--hostname-override=" + cluster.NodeName,
			"--node-ip=" + cluster.NodeIP,
			"--root-dir=" + c.Path("kubelet"),
		}},
		{name: kubeProxy, args: []string{"--config=" + c.Etc("kube-proxy.yaml")}},
		{name: coreDNS, args: []string{"-conf", c.Etc("Corefile")}},
	}
}

func etcdArgs(c cluster.Cluster) []string {
	const client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
	return []string{
		"--name=kubebox",
		"--data-dir=" + c.Path("etcd"),
		// A killed process loses nothing; only a power cut could, and then the cluster is made anew.
		"--unsafe-no-fsync",
		"--log-level=warn",
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=kubebox=" + peer,
	}
}

func apiServerArgs(c cluster.Cluster, o cluster.Options) []string {
	_, port, _ := net.SplitHostPort(cluster.APIAddress)
	args := []string{
		"--etcd-servers=http://127.0.0.1:2379",
		"--bind-address=0.0.0.0",
		"--secure-port=" + port,
		// Without it the API server looks for an address by the default route, and the node has none.
		"--advertise-address=" + cluster.NodeIP,
		"--service-cluster-ip-range=" + cluster.ServiceCIDR,
		"--allow-privileged=true",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--client-ca-file=" + c.PKI("ca.crt"),
		"--tls-cert-file=" + c.PKI("apiserver.crt"),
		"--tls-private-key-file=" + c.PKI("apiserver.key"),
		"--kubelet-client-certificate=" + c.PKI("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + c.PKI("apiserver-kubelet-client.key"),
		"--kubelet-certificate-authority=" + c.PKI("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.PKI("sa.pub"),
		"--service-account-signing-key-file=" + c.PKI("sa.key"),
		// Without these the controller manager and the scheduler log an error every few seconds.
		"--requestheader-client-ca-file=" + c.PKI("ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.PKI("front-proxy-client.crt"),
		"--proxy-client-key-file=" + c.PKI("front-proxy-client.key"),
		"--profiling=false",
		"--max-requests-inflight=3000",
		"--max-mutating-requests-inflight=1000",
	}
	if o.Audit {
		args = append(args, "--audit-policy-file="+c.Etc("audit-policy.yaml"), "--audit-log-path="+c.AuditLog())
	}
	return args
}

func controllerManagerArgs(c cluster.Cluster) []string {
	return append(clientArgs(c.PKI("controller-manager.kubeconfig")),
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+c.PKI("sa.key"),
		"--root-ca-file="+c.PKI("ca.crt"),
		"--cluster-signing-cert-file="+c.PKI("ca.crt"),
		"--cluster-signing-key-file="+c.PKI("ca.key"),
	)
}

func schedulerArgs(c cluster.Cluster) []string {
	return clientArgs(c.PKI("scheduler.kubeconfig"))
}

// clientArgs are what the controller manager and the scheduler have in common.
func clientArgs(kubeconfig string) []string {
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--leader-elect=false",
		"--bind-address=127.0.0.1",
		"--profiling=false",
		"--kube-api-qps=200",
		"--kube-api-burst=400",
	}
}
