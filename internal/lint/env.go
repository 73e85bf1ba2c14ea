package lint

import (
	"regexp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/khronicle/khronicle/internal/protocol"
)

// injected are the variables that Khronicle sets in each container. They replace variables of the same name.
var injected = []string{protocol.EnvReportingURL, protocol.EnvRunUUID, protocol.EnvDeadline, protocol.EnvPodNamespace}

// podField matches the fields of the pod that a variable may refer to.
var podField = regexp.MustCompile(`^(metadata\.(name|namespace|uid)|metadata\.(labels|annotations)\['.+'\]|` +
	`spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?))$`)

// env reports variables that the API server would refuse. It warns of those that Khronicle replaces.
func (o *object) env(at string, c corev1.Container, receives bool) {
	names := map[string]bool{}
	for i, variable := range c.Env {
		field := item(at+".env", i)
		if names[variable.Name] {
			o.warnf(field+".name", "%q is also the name of an earlier variable, which this one replaces", variable.Name)
		}
		names[variable.Name] = true
		switch {
		case validation.IsRelaxedEnvVarName(variable.Name) != nil:
			o.errorf(field+".name", `%q is not the name of a variable: want printable ASCII without "="`, variable.Name)
		case receives && slices.Contains(injected, variable.Name):
			o.warnf(field+".name", "%s is replaced: Khronicle sets it for each run", variable.Name)
		case variable.Value != "" && variable.ValueFrom != nil:
			o.errorf(field+".valueFrom", "value is set too; set only one of the two")
		case variable.ValueFrom != nil:
			o.source(field+".valueFrom", *variable.ValueFrom)
		}
	}
	for i, from := range c.EnvFrom {
		field := item(at+".envFrom", i)
		if sources := setPointers(from); len(sources) != 1 {
			o.errorf(field, "has %d sources, want configMapRef or secretRef", len(sources))
			continue
		}
		if from.ConfigMapRef != nil {
			o.reference(field+".configMapRef.name", from.ConfigMapRef.Name, "ConfigMap")
		}
		if from.SecretRef != nil {
			o.reference(field+".secretRef.name", from.SecretRef.Name, "Secret")
		}
	}
}

// source reports a source of a variable that refers to nothing.
func (o *object) source(path string, from corev1.EnvVarSource) {
	switch sources := setPointers(from); {
	case len(sources) != 1:
		o.errorf(path, "has %d sources, want one, such as fieldRef or secretKeyRef", len(sources))
	case from.SecretKeyRef != nil:
		o.reference(path+".secretKeyRef.name", from.SecretKeyRef.Name, "Secret")
		o.key(path+".secretKeyRef.key", from.SecretKeyRef.Key)
	case from.ConfigMapKeyRef != nil:
		o.reference(path+".configMapKeyRef.name", from.ConfigMapKeyRef.Name, "ConfigMap")
		o.key(path+".configMapKeyRef.key", from.ConfigMapKeyRef.Key)
	case from.FieldRef != nil && !podField.MatchString(from.FieldRef.FieldPath):
		o.errorf(path+".fieldRef.fieldPath", "%q is not a field that a variable can have, such as metadata.namespace or spec.nodeName",
			from.FieldRef.FieldPath)
	}
}

func (o *object) reference(path, name, kind string) {
	if validation.IsDNS1123Subdomain(name) != nil {
		o.errorf(path, "%q is not the name of a %s: %s", name, kind, wantSubdomain)
	}
}

func (o *object) key(path, key string) {
	if validation.IsConfigMapKey(key) != nil {
		o.errorf(path, `%q is not a key: want letters, digits, "-", "_" and "."`, key)
	}
}
