package lint

import (
	"maps"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// podFields reports fields of the pod itself that the API server would refuse.
func (o *object) podFields(spec corev1.PodSpec) {
	if n := spec.ActiveDeadlineSeconds; n != nil && (*n < 1 || *n > math.MaxInt32) {
		o.errorf(podSpec+".activeDeadlineSeconds", "%d is not from 1 to %d", *n, math.MaxInt32)
	}
	oneOf(o, podSpec+".preemptionPolicy", valueOf(spec.PreemptionPolicy), corev1.PreemptLowerPriority, corev1.PreemptNever)
	oneOf(o, podSpec+".dnsPolicy", spec.DNSPolicy, corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault, corev1.DNSNone)
	if spec.DNSPolicy == corev1.DNSNone && (spec.DNSConfig == nil || len(spec.DNSConfig.Nameservers) == 0) {
		o.errorf(podSpec+".dnsConfig.nameservers", "missing; want at least one with dnsPolicy None")
	}
	o.nameOf(podSpec+".serviceAccountName", spec.ServiceAccountName, validation.IsDNS1123Subdomain, wantSubdomain)
	o.nameOf(podSpec+".priorityClassName", spec.PriorityClassName, validation.IsDNS1123Subdomain, wantSubdomain)
	o.nameOf(podSpec+".nodeName", spec.NodeName, validation.IsDNS1123Subdomain, wantSubdomain)
	o.nameOf(podSpec+".hostname", spec.Hostname, validation.IsDNS1123Label, wantLabel)
	o.nameOf(podSpec+".subdomain", spec.Subdomain, validation.IsDNS1123Label, wantLabel)
	o.labels(podSpec+".nodeSelector", spec.NodeSelector)
	for i, toleration := range spec.Tolerations {
		o.toleration(item(podSpec+".tolerations", i), toleration)
	}
	for i, alias := range spec.HostAliases {
		if address, err := netip.ParseAddr(alias.IP); err != nil || address.Zone() != "" {
			o.errorf(item(podSpec+".hostAliases", i)+".ip", "%q is not an IP address", alias.IP)
		}
	}
}

// nameOf reports a reference that cannot be the name of an object.
func (o *object) nameOf(path, name string, wrong func(string) []string, want string) {
	if name != "" && wrong(name) != nil {
		o.errorf(path, "%q is not a name: %s", name, want)
	}
}

func (o *object) toleration(path string, t corev1.Toleration) {
	known := oneOf(o, path+".operator", t.Operator, corev1.TolerationOpEqual, corev1.TolerationOpExists, corev1.TolerationOpLt, corev1.TolerationOpGt)
	known = oneOf(o, path+".effect", t.Effect, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute) && known
	switch {
	case !known: // the rules below need a known operator and effect
	case t.Key != "" && validation.IsQualifiedName(t.Key) != nil:
		o.errorf(path+".key", `%q is not the key of a taint, such as "example.com/dedicated"`, t.Key)
	case validation.IsValidLabelValue(t.Value) != nil:
		o.errorf(path+".value", "%q is not the value of a taint: %s", t.Value, wantValue)
	case t.Key == "" && t.Operator != corev1.TolerationOpExists:
		o.errorf(path+".operator", "%q without a key: write Exists, which tolerates every taint", string(t.Operator))
	case t.Operator == corev1.TolerationOpExists && t.Value != "":
		o.errorf(path+".value", "%q beside operator Exists: leave it out, or write Equal", t.Value)
	case t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute:
		o.errorf(path+".effect", "%q beside tolerationSeconds: write NoExecute", string(t.Effect))
	}
}

// volumes reports volumes that the API server would refuse, and returns the names of all.
func (o *object) volumes(volumes []corev1.Volume) map[string]bool {
	names := map[string]bool{}
	for i, volume := range volumes {
		path := item(podSpec+".volumes", i)
		if names[volume.Name] {
			o.errorf(path+".name", "%q is also the name of an earlier volume", volume.Name)
		}
		names[volume.Name] = true
		if validation.IsDNS1123Label(volume.Name) != nil {
			o.errorf(path+".name", "%q is not the name of a volume: %s", volume.Name, wantLabel)
		}
		if sources := setPointers(volume.VolumeSource); len(sources) > 1 {
			o.errorf(path, "has %s; want one kind of volume", strings.Join(sources, " and "))
		}
		o.volumeSource(path, volume.VolumeSource)
	}
	return names
}

// volumeSource reports a volume whose source refers to nothing.
func (o *object) volumeSource(path string, source corev1.VolumeSource) {
	switch {
	case source.Secret != nil && source.Secret.SecretName == "":
		o.errorf(path+".secret.secretName", "missing; want the name of a Secret")
	case source.ConfigMap != nil && source.ConfigMap.Name == "":
		o.errorf(path+".configMap.name", "missing; want the name of a ConfigMap")
	case source.PersistentVolumeClaim != nil && source.PersistentVolumeClaim.ClaimName == "":
		o.errorf(path+".persistentVolumeClaim.claimName", "is empty; want the name of a PersistentVolumeClaim")
	case source.HostPath != nil && source.HostPath.Path == "":
		o.errorf(path+".hostPath.path", "is empty; want a path of the node")
	}
}

// valueOf returns the value behind a pointer, or the zero value.
func valueOf[T any](pointer *T) T {
	if pointer == nil {
		return *new(T)
	}
	return *pointer
}

// setPointers returns the JSON names of the pointers that are set in a struct of alternatives.
func setPointers(alternatives any) []string {
	var names []string
	value := reflect.ValueOf(alternatives)
	for i := range value.NumField() {
		if field := value.Field(i); field.Kind() == reflect.Pointer && !field.IsNil() {
			name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
			names = append(names, name)
		}
	}
	return names
}

// oneOf reports a value that is not allowed, and returns whether it is. An empty value is allowed.
func oneOf[T ~string](o *object, path string, value T, allowed ...T) bool {
	if value == "" || slices.Contains(allowed, value) {
		return true
	}
	names := make([]string, len(allowed))
	for i, name := range allowed {
		names[i] = string(name)
	}
	last := len(names) - 1
	o.errorf(path, "%q is not %s or %s", string(value), strings.Join(names[:last], ", "), names[last])
	return false
}

// resources reports requests above their limits, and names that are no resources.
func (o *object) resources(path string, r corev1.ResourceRequirements) {
	o.quantities(path+".limits", r.Limits)
	o.quantities(path+".requests", r.Requests)
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		request := r.Requests[name]
		if limit, ok := r.Limits[name]; ok && request.Cmp(limit) > 0 {
			o.errorf(entry(path+".requests", string(name)), "%s is above the limit of %s", request.String(), limit.String())
		}
	}
}

func (o *object) quantities(path string, list corev1.ResourceList) {
	for _, name := range slices.Sorted(maps.Keys(list)) {
		if !isResource(string(name)) {
			o.errorf(entry(path, string(name)), "is not a resource, such as cpu, memory or example.com/gpu")
		}
		if quantity := list[name]; quantity.Sign() < 0 {
			o.errorf(entry(path, string(name)), "%s is below 0", quantity.String())
		}
	}
}

func isResource(name string) bool {
	switch corev1.ResourceName(name) {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return true
	default:
		isPages := strings.HasPrefix(name, corev1.ResourceHugePagesPrefix)
		return validation.IsQualifiedName(name) == nil && (isPages || strings.Contains(name, "/"))
	}
}
