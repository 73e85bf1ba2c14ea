package lint

import (
	"strings"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/internal/yamlfile"
)

// Kuberhealthy v3 has a single kind, in another group.
const (
	foreignGroup = "kuberhealthy.github.io"
	foreignKind  = "HealthCheck"
)

// aliases are short and colloquial names of the kinds.
var aliases = map[string]string{
	"khcheck": khv1.CheckKind, "khc": khv1.CheckKind, "check": khv1.CheckKind, "healthcheck": khv1.CheckKind,
	"khjob": khv1.JobKind, "khj": khv1.JobKind, "job": khv1.JobKind, "healthjob": khv1.JobKind,
	"khstate": khv1.StateKind, "khs": khv1.StateKind, "state": khv1.StateKind,
}

// shortKind returns the short name of a kind for kubectl.
func shortKind(kind string) string {
	switch kind {
	case khv1.CheckKind:
		return "khcheck"
	case khv1.JobKind:
		return "khjob"
	case khv1.StateKind:
		return "khstate"
	default:
		return strings.ToLower(kind)
	}
}

// label returns the name of an object in findings.
func label(kind, namespace, name string) string {
	switch {
	case name == "":
		name = "without a name"
	case namespace != "":
		name = namespace + "/" + name
	}
	return shortKind(kind) + " " + name
}

// identify returns the kind that an object has or was meant to have. It reports a wrong apiVersion or kind. The kind is empty
// for an object that is not Khronicle's.
func (o *object) identify() string {
	version, kind := text(o.value["apiVersion"]), text(o.value["kind"])
	group, _, _ := strings.Cut(version, "/")
	inGroup := group == khv1.GroupVersion.Group
	if group == foreignGroup && kind == foreignKind {
		o.named(kind)
		o.errorf("apiVersion", "%s %s is Kuberhealthy v3's; write apiVersion: %s and kind: %s (%s if it has singleRunOnly), "+
			"move the fields of spec.podSpec.spec to spec.podSpec, and add metadata.annotations %s: %s", version, kind, khv1.GroupVersion, khv1.CheckKind, khv1.JobKind,
			protocol.AnnotationReportPath, protocol.PathReportAlias)
		return foreignKind
	}
	meant := meantKind(kind, inGroup || group == foreignGroup)
	switch {
	case meant == "" && !inGroup:
		return ""
	case kind == "":
		o.named("object")
		o.errorf("kind", "missing; want %s or %s", khv1.CheckKind, khv1.JobKind)
		return ""
	case meant == "":
		o.named(kind)
		o.errorf("kind", "%q is not %s or %s", kind, khv1.CheckKind, khv1.JobKind)
		return ""
	}
	o.named(meant)
	if meant != kind {
		o.errorf("kind", "%q is not a kind of %s; did you mean %s", kind, khv1.GroupVersion, meant)
		o.value["kind"] = meant
	}
	if version != khv1.GroupVersion.String() {
		o.errorf("apiVersion", "%q is not the apiVersion of a %s: write %s", version, meant, khv1.GroupVersion)
	}
	if meant == khv1.StateKind {
		o.warnf("kind", "only Khronicle writes a %s; leave it out", khv1.StateKind)
	}
	return meant
}

// meantKind returns the kind with that name, or the one with the nearest name. Aliases without "kh" count only in a group of
// Kuberhealthy.
func meantKind(kind string, inGroup bool) string {
	known := []string{khv1.CheckKind, khv1.JobKind, khv1.StateKind}
	lower := strings.ToLower(kind)
	alias := aliases[strings.TrimSuffix(lower, "s")]
	if alias != "" && (inGroup || strings.HasPrefix(lower, "kh")) {
		return alias
	}
	return yamlfile.Nearest(kind, known, len(kind)/3)
}

// named sets the name of the object for findings, also when the object is wrong.
func (o *object) named(kind string) {
	metadata, _ := o.value["metadata"].(map[string]any)
	o.namespace, o.name = text(metadata["namespace"]), text(metadata["name"])
	shown := o.name
	if generate := text(metadata["generateName"]); shown == "" && generate != "" {
		shown = generate + "…"
	}
	o.label = label(kind, o.namespace, shown)
}
