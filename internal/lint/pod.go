package lint

import (
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/duration"
)

const podSpec = "spec.podSpec"

// pod warns of what an API server accepts, but may surprise the author: of the pod, then of each container.
func (o *object) pod(spec corev1.PodSpec, reportingURL string) {
	if p := spec.RestartPolicy; p != "" && p != corev1.RestartPolicyNever {
		o.warnf(podSpec+".restartPolicy", "%q is replaced by Never", string(p))
	}
	o.dns(spec, reportingURL)
	if seconds := valueOf(spec.TerminationGracePeriodSeconds); seconds > int64(check.LongestExit/time.Second) {
		o.warnf(podSpec+".terminationGracePeriodSeconds", "a pod that takes longer than %s to end may delay the next run; write %d or less",
			duration.Short(check.LongestExit), int64(check.LongestExit/time.Second))
	}
	o.containers(podSpec+".initContainers", spec.InitContainers)
	o.containers(podSpec+".containers", spec.Containers)
	for i, c := range spec.Containers {
		o.reporter(item(podSpec+".containers", i), c, reportingURL)
	}
}

// dns warns of a pod that asks the DNS of its node, which does not know the Services of the cluster.
func (o *object) dns(spec corev1.PodSpec, reportingURL string) {
	host := hostOf(reportingURL)
	if !isService(host) {
		return
	}
	switch {
	case spec.DNSPolicy == corev1.DNSDefault:
		o.warnf(podSpec+".dnsPolicy", "with Default, the pod uses the DNS of its node, which does not know %s: write %s", host, clusterDNS(spec))
	case spec.HostNetwork && (spec.DNSPolicy == "" || spec.DNSPolicy == corev1.DNSClusterFirst):
		o.warnf(podSpec+".dnsPolicy", "with hostNetwork, the pod uses the DNS of its node, which does not know %s: write %s", host, clusterDNS(spec))
	}
}

// clusterDNS returns the policy with which a pod knows the Services of the cluster.
func clusterDNS(spec corev1.PodSpec) corev1.DNSPolicy {
	if spec.HostNetwork {
		return corev1.DNSClusterFirstWithHostNet
	}
	return corev1.DNSClusterFirst
}

func hostOf(reportingURL string) string {
	u, err := url.Parse(reportingURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// isService is true for the DNS name of a Service, such as kuberhealthy.kuberhealthy.svc.cluster.local.
func isService(host string) bool {
	return strings.Contains(host+".", ".svc.") || !strings.ContainsAny(host, ".:")
}

// valueOf returns the value behind a pointer, or the zero value.
func valueOf[T any](pointer *T) T {
	if pointer == nil {
		return *new(T)
	}
	return *pointer
}
