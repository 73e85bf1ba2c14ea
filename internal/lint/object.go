package lint

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	yamlnode "go.yaml.in/yaml/v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// object is one resource of a document, with its findings.
type object struct {
	file   string
	before int
	node   *yamlnode.Node
	value  map[string]any
	// now is that of the linter.
	now time.Time

	label           string
	namespace, name string
	specFields      map[string]*schema
	// subject is the check or job as an API server gets it, and workload what Khronicle makes of it. The subject is nil if the
	// object cannot be read.
	subject  metav1.Object
	workload check.Workload
	// broken are the paths whose values already have an error. Findings that follow from it are left out.
	broken   []string
	findings []Finding
}

// objects returns the resources of a document: itself, or the items of a list.
func (l *Linter) objects(d document) []*object {
	root := &object{file: d.file, before: d.before, node: d.node, now: l.now}
	switch value := d.value.(type) {
	case nil: // nothing but comments
		return nil
	case map[string]any:
		root.value = value
	}
	return root.flatten()
}

// flatten returns the object itself, or the items of a list. Items of a typed list need no kind of their own.
func (o *object) flatten() []*object {
	kind, version := text(o.value["kind"]), text(o.value["apiVersion"])
	items, ok := o.value["items"].([]any)
	itemKind, isList := strings.CutSuffix(kind, "List")
	if !ok || !isList {
		return []*object{o}
	}
	var all []*object
	for i, value := range items {
		node, _ := find(o.node, item("items", i))
		inner := &object{file: o.file, before: o.before, node: cmp.Or(node, o.node), now: o.now}
		inner.value, _ = value.(map[string]any)
		if inner.value != nil && itemKind != "" && inner.value["kind"] == nil {
			inner.value["kind"], inner.value["apiVersion"] = itemKind, version
		}
		all = append(all, inner.flatten()...)
	}
	return all
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

// line returns the line of a field in the file, or of the nearest object around it.
func (o *object) line(path string) int {
	_, line := find(o.node, path)
	return o.before + line
}

// errorf reports an error, unless it follows from an earlier one.
func (o *object) errorf(path, format string, arguments ...any) {
	o.add(Error, path, o.line(path), fmt.Sprintf(format, arguments...))
}

// warnf reports a warning, unless the field has an error.
func (o *object) warnf(path, format string, arguments ...any) {
	o.add(Warning, path, o.line(path), fmt.Sprintf(format, arguments...))
}

// breakf reports an error in a value. The value then counts as absent.
func (o *object) breakf(path, format string, arguments ...any) {
	o.errorf(path, format, arguments...)
	o.broken = append(o.broken, path)
}

func (o *object) add(severity Severity, path string, line int, text string) {
	if slices.ContainsFunc(o.broken, func(broken string) bool { return within(path, broken) }) {
		return
	}
	o.findings = append(o.findings, Finding{
		Severity: severity, File: o.file, Line: line, Object: o.label, Field: path, Text: text,
	})
}

// within is true when a path is the outer one or inside it.
func within(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// check reports what is wrong with a check or job.
func (l *Linter) check(o *object, s *schema) {
	o.specFields = s.Properties["spec"].Properties
	if o.node != nil {
		duplicates(o.node, "", func(path string, first, second int) {
			o.add(Error, path, o.before+second, fmt.Sprintf("is set twice, first in line %d; the last value counts", o.before+first))
		})
	}
	value, _ := o.walk(s, o.value, "")
	pruned, _ := value.(map[string]any)
	o.metadata(pruned)
	if _, ok := o.value["spec"]; !ok {
		o.breakf("spec", "missing; want timeout, podSpec and, for a check, runInterval or schedule")
		return
	}
	o.schedule(pruned)
	phase, err := o.decode(pruned)
	if err != nil { // the schema allows more than the Go types
		o.errorf("spec", "cannot be read: %v", err)
		return
	}
	o.judge(phase, l.ReportingURL)
}

// schedule reports a check that has neither an interval nor a schedule.
func (o *object) schedule(pruned map[string]any) {
	spec, ok := pruned["spec"].(map[string]any)
	if ok && pruned["kind"] == khv1.CheckKind && spec["runInterval"] == nil && spec["schedule"] == nil {
		o.errorf("spec.runInterval", `missing; want the time between two runs, such as "10m", or a spec.schedule`)
	}
}

// decode reads the pruned object into the Go types, as Khronicle does. It leaves out what the API server writes.
func (o *object) decode(pruned map[string]any) (khv1.JobPhase, error) {
	metadata, _ := pruned["metadata"].(map[string]any)
	written := map[string]any{}
	for _, key := range []string{"name", "generateName", "labels", "annotations"} {
		written[key] = metadata[key]
	}
	content, err := json.Marshal(map[string]any{"apiVersion": khv1.GroupVersion.String(), "kind": pruned["kind"], "metadata": written, "spec": pruned["spec"]})
	if err != nil {
		return "", err
	}
	if pruned["kind"] == khv1.JobKind {
		var job khv1.KuberhealthyJob
		if err := json.Unmarshal(content, &job); err != nil {
			return "", err
		}
		o.subject, o.workload = &job, check.FromJob(&job)
		return job.Spec.Phase, nil
	}
	var c khv1.KuberhealthyCheck
	if err := json.Unmarshal(content, &c); err != nil {
		return "", err
	}
	o.subject, o.workload = &c, check.FromCheck(&c)
	return "", nil
}

// metadata reports names, labels and annotations that the API server would refuse.
func (o *object) metadata(pruned map[string]any) {
	metadata, _ := pruned["metadata"].(map[string]any)
	var read metav1.ObjectMeta
	content, err := json.Marshal(map[string]any{"labels": metadata["labels"], "annotations": metadata["annotations"], "finalizers": metadata["finalizers"]})
	if err == nil {
		err = json.Unmarshal(content, &read)
	}
	if err != nil {
		o.errorf("metadata", "cannot be read: %v", err)
	}
	o.labels("metadata.labels", read.Labels)
	o.annotations("metadata.annotations", read.Annotations)
	for i, finalizer := range read.Finalizers {
		if isNameOfV3(finalizer) {
			o.warnf(item("metadata.finalizers", i), "%q keeps the object from being deleted, because only Kuberhealthy v3 removes it", finalizer)
		}
	}
	if o.namespace != "" && validation.IsDNS1123Label(o.namespace) != nil {
		o.errorf("metadata.namespace", "%q is not a namespace: %s", o.namespace, wantLabel)
	}
	switch generate := text(metadata["generateName"]); {
	case o.name != "":
		o.resourceName(o.name)
	case generate == "":
		o.errorf("metadata.name", "missing; want a name such as \"checkout\"")
	case validation.IsDNS1123Subdomain(generate+"x") != nil:
		o.errorf("metadata.generateName", "%q is not the beginning of a name: %s", generate, wantSubdomain)
	}
}

// Rules for names, in shorter texts than those of the API server.
const (
	wantLabel     = `want lower case letters, digits and "-", at most 63, first and last a letter or digit`
	wantValue     = `want at most 63 letters, digits, "-", "_" and ".", first and last a letter or digit`
	wantSubdomain = `want lower case letters, digits, "-" and ".", first and last a letter or digit`
)

func (o *object) resourceName(name string) {
	if validation.IsDNS1123Subdomain(name) != nil {
		o.errorf("metadata.name", "%q is not a name: %s", name, wantSubdomain)
	} else if len(name) > validation.LabelValueMaxLength {
		o.errorf("metadata.name", "has %d characters, want at most %d: it becomes a label of the checker pod",
			len(name), validation.LabelValueMaxLength)
	}
}

// labels reports labels that the API server would refuse.
func (o *object) labels(path string, labels map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if validation.IsQualifiedName(key) != nil {
			o.errorf(entry(path, key), `is not the key of a label, such as "team" or "example.com/team"`)
		}
		if validation.IsValidLabelValue(labels[key]) != nil {
			o.errorf(entry(path, key), "%q is not the value of a label: %s", labels[key], wantValue)
		}
	}
}

// annotations reports annotations that the API server would refuse.
func (o *object) annotations(path string, annotations map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if validation.IsQualifiedName(strings.ToLower(key)) != nil {
			o.errorf(entry(path, key), `is not the key of an annotation, such as "example.com/owner"`)
		}
	}
}
