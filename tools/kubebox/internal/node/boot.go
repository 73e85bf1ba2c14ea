//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
	"github.com/khronicle/khronicle/tools/kubebox/internal/kubeapi"
)

const (
	// bootLimit is shorter than the default limit of `kubebox up`, which then can say why.
	bootLimit = 2 * time.Minute
	pollEvery = 50 * time.Millisecond
)

// boot starts the components in the order in which they need each other, and returns when cluster DNS
// and Services work. It runs once; later the supervisor restarts what ends without any order.
func (n *node) boot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	api, err := kubeapi.New(n.cluster, cluster.APIAddress)
	if err != nil {
		return err
	}
	n.supervisor.run(containerd)
	n.supervisor.run(etcd)
	n.supervisor.run(apiServer)

	imported := make(chan error, 1)
	go func() { imported <- n.importImages(ctx) }()
	if err := kubeapi.Until(ctx, pollEvery, api.Ready); err != nil {
		return fmt.Errorf("wait for the API server: %w", err)
	}
	slog.Info("API server is ready")
	n.supervisor.run(controllerManager)
	n.supervisor.run(scheduler)
	n.supervisor.run(kubeProxy)
	n.supervisor.run(coreDNS)
	if err := <-imported; err != nil {
		return err
	}
	n.supervisor.run(kubelet)
	return n.setUpDNS(ctx, api)
}

func (n *node) importImages(ctx context.Context) error {
	err := kubeapi.Until(ctx, pollEvery, func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", cluster.Socket)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		return fmt.Errorf("wait for containerd: %w", err)
	}
	return n.importer.all(ctx)
}

func (n *node) setUpDNS(ctx context.Context, api *kubeapi.Client) error {
	err := kubeapi.Until(ctx, pollEvery, func(ctx context.Context) error {
		return errors.Join(
			api.Ensure(ctx, "/api/v1/namespaces/kube-system/services", dnsServiceName, dnsService()),
			api.Ensure(ctx, "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices", dnsSliceName, dnsEndpoints()),
		)
	})
	if err != nil {
		return fmt.Errorf("create DNS service: %w", err)
	}
	for _, url := range []string{kubeProxyLiveURL, coreDNSReadyURL} {
		if err := kubeapi.Until(ctx, pollEvery, func(ctx context.Context) error { return get(ctx, url) }); err != nil {
			return fmt.Errorf("wait for %s: %w", url, err)
		}
	}
	return nil
}

func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

const (
	dnsServiceName = "kube-dns"
	dnsSliceName   = "kube-dns-node"
)

type object map[string]any

// dnsService and dnsEndpoints lead the Service kube-dns to CoreDNS, which is a process of the node and no pod.
func dnsService() object {
	return object{
		"apiVersion": "v1", "kind": "Service",
		"metadata": object{"name": dnsServiceName, "labels": object{"k8s-app": "kube-dns"}},
		"spec":     object{"clusterIP": cluster.DNSServiceIP, "ports": dnsPorts()},
	}
}

func dnsEndpoints() object {
	return object{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
		"metadata":  object{"name": dnsSliceName, "labels": object{"kubernetes.io/service-name": dnsServiceName}},
		"ports":     dnsPorts(),
		"endpoints": []object{{"addresses": []string{cluster.NodeIP}, "conditions": object{"ready": true}}},
	}
}

func dnsPorts() []object {
	return []object{{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}}
}
