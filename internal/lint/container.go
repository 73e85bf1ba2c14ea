package lint

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"golang.org/x/net/http/httpproxy"
	corev1 "k8s.io/api/core/v1"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
)

// containers warns of fields that Khronicle removes. It also warns of images that may differ from node to node: those whose tag
// moves and is not pulled again.
func (o *object) containers(list string, containers []corev1.Container) {
	for i, c := range containers {
		if c.ImagePullPolicy == corev1.PullIfNotPresent && c.Image != "" && moves(c.Image) {
			o.warnf(item(list, i)+".image", "%q has no fixed tag, and with IfNotPresent each node uses the image that it pulled first: write a tag or digest", c.Image)
		}
		o.restarts(item(list, i), c, list == podSpec+".containers")
	}
}

// restarts warns of fields that Khronicle removes, because they would restart a container that decides the run.
func (o *object) restarts(at string, c corev1.Container, main bool) {
	const removed = "is removed: no container that may report is ever restarted"
	if p := c.RestartPolicy; main && p != nil && *p != corev1.ContainerRestartPolicyNever {
		o.warnf(at+".restartPolicy", "%q "+removed, string(*p))
	}
	for i, rule := range c.RestartPolicyRules {
		if main || check.RestartsPod(rule) {
			o.warnf(item(at+".restartPolicyRules", i)+".action", "%q "+removed, string(rule.Action))
		}
	}
	for i, policy := range c.ResizePolicy {
		if check.RestartsToResize(policy) {
			o.warnf(item(at+".resizePolicy", i)+".restartPolicy", "%q is removed: the API server does not accept it in a pod that is never restarted", string(policy.RestartPolicy))
		}
	}
}

// moves is true for an image without a digest whose tag is missing or latest.
func moves(image string) bool {
	if strings.Contains(image, "@") {
		return false
	}
	_, tag, tagged := strings.Cut(path.Base(image), ":")
	return !tagged || tag == "latest"
}

// injected are the variables that Khronicle sets in each container. They replace variables of the same name.
var injected = []string{protocol.EnvReportingURL, protocol.EnvRunUUID, protocol.EnvDeadline, protocol.EnvPodNamespace}

// reporter warns of what may keep a container from reporting.
func (o *object) reporter(at string, c corev1.Container, reportingURL string) {
	for i, variable := range c.Env {
		if slices.Contains(injected, variable.Name) {
			o.warnf(item(at+".env", i)+".name", "%s is replaced: Khronicle sets it for each run", variable.Name)
		}
	}
	o.proxy(at, c, reportingURL)
	if isOfV3(c.Image) && !strings.HasSuffix(o.workload.ReportPath, protocol.PathReportAlias) && !strings.HasSuffix(reportingURL, protocol.PathReportAlias) {
		o.warnf(at+".image", "%q is probably of Kuberhealthy v3, whose clients report only to %s: write metadata.annotations %s: %s",
			c.Image, protocol.PathReportAlias, protocol.AnnotationReportPath, protocol.PathReportAlias)
	}
}

// proxy warns of a proxy that would receive the reports. Khronicle's own client uses none, but others do.
func (o *object) proxy(at string, c corev1.Container, reportingURL string) {
	if len(c.EnvFrom) > 0 { // NO_PROXY may be there
		return
	}
	target, err := url.Parse(reportingURL)
	if err != nil {
		return
	}
	variable := strings.ToUpper(target.Scheme) + "_PROXY"
	exceptions, known := exceptionsOf(c)
	for i, given := range c.Env {
		if !known || !strings.EqualFold(given.Name, variable) && !strings.EqualFold(given.Name, "ALL_PROXY") || given.Value == "" && given.ValueFrom == nil {
			continue
		}
		if proxied(target, exceptions) {
			o.warnf(item(at+".env", i)+".name", "%s sends the reports to a proxy, unless the client of the check ignores it: write NO_PROXY with %s",
				given.Name, target.Hostname())
		}
	}
}

// exceptionsOf returns the value of NO_PROXY. ok is false if only the cluster knows it.
func exceptionsOf(c corev1.Container) (exceptions string, ok bool) {
	for _, variable := range c.Env {
		if strings.EqualFold(variable.Name, "NO_PROXY") {
			if variable.ValueFrom != nil {
				return "", false
			}
			exceptions = variable.Value
		}
	}
	return exceptions, true
}

// proxied is true if a proxy with these exceptions receives the requests for a URL, as Go's clients do it.
func proxied(target *url.URL, exceptions string) bool {
	const anyProxy = "http://proxy"
	config := httpproxy.Config{HTTPProxy: anyProxy, HTTPSProxy: anyProxy, NoProxy: exceptions}
	proxy, err := config.ProxyFunc()(target)
	return err == nil && proxy != nil
}

// v0OfV2 are the images of Kuberhealthy v2 whose versions begin with v0, as those of v3 do.
var v0OfV2 = []string{"image-download-check", "network-connection-check"}

// isOfV3 is true for an image that Kuberhealthy v3 publishes, also by a mirror. Those are at ghcr.io, or have other tags than v2's.
func isOfV3(image string) bool {
	image, _, _ = strings.Cut(image, "@")
	name, tag, _ := strings.Cut(path.Base(image), ":")
	switch owner := path.Dir(image); {
	case path.Base(owner) != "kuberhealthy":
		return false
	case strings.Contains(owner, "ghcr.io"):
		return true
	}
	return strings.HasPrefix(tag, "sha-") || tag == "main" || strings.HasPrefix(tag, "v0.") && !slices.Contains(v0OfV2, name)
}
