package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/yaml"

	"github.com/khronicle/khronicle/deploy"
)

// definitions compares the custom resources of the cluster with those of this version.
func (x *examination) definitions(ctx context.Context) {
	for _, document := range deploy.Documents(deploy.PartCRDs, x.Namespace) {
		x.definition(ctx, parse(document))
	}
}

func (x *examination) definition(ctx context.Context, wanted map[string]any) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	full, _ := at(wanted, "metadata", "name").(string)
	plural, _, _ := strings.Cut(full, ".")
	name, apply := "crds/"+plural, "khronicle manifests crds | "+x.Kubectl+" apply --server-side --force-conflicts -f -"
	present, err := x.Cluster.Definition(ctx, full)
	switch {
	case apierrors.IsNotFound(err):
		x.add(name, Fail, apply, "CustomResourceDefinition %s does not exist", full)
		return
	case err != nil:
		x.unknown(name, "get CustomResourceDefinition "+full, err)
		return
	}
	var d differences
	d.compare("spec", shape(wanted), shape(present))
	switch {
	case !established(present):
		x.add(name, Fail, x.Kubectl+" describe crd "+full, "CustomResourceDefinition %s is not established", full)
	case len(d.missing) > 0:
		x.add(name, Fail, apply, "CustomResourceDefinition %s is not that of this version: %s", full, some(d.missing))
	case len(d.besides) > 0:
		x.add(name, Warn, apply, "CustomResourceDefinition %s has more than that of this version: %s", full, some(d.besides))
	default:
		x.add(name, OK, "", "CustomResourceDefinition %s is that of this version", full)
	}
}

// shape is the part of a definition that is compared. The API server adds defaults to the rest.
func shape(definition map[string]any) map[string]any {
	part := map[string]any{}
	for _, field := range []string{"group", "names", "scope", "versions"} {
		if value := at(definition, "spec", field); value != nil {
			part[field] = value
		}
	}
	return part
}

func established(definition map[string]any) bool {
	conditions, _ := at(definition, "status", "conditions").([]any)
	return slices.ContainsFunc(conditions, func(condition any) bool {
		c, _ := condition.(map[string]any)
		return c["type"] == "Established" && c["status"] == "True"
	})
}

// differences are paths of fields.
type differences struct{ missing, besides []string }

// compare notes where the present value lacks or changes what is wanted, and what it has besides.
func (d *differences) compare(path string, wanted, present any) {
	w, object := wanted.(map[string]any)
	p, both := present.(map[string]any)
	if !object || !both {
		if names := byName(wanted); names != nil {
			w, p, both = names, byName(present), true
		}
	}
	if w == nil || !both {
		if !reflect.DeepEqual(wanted, present) {
			d.missing = append(d.missing, path+" differs")
		}
		return
	}
	for _, key := range slices.Sorted(maps.Keys(w)) {
		if value, ok := p[key]; ok {
			d.compare(path+"."+key, w[key], value)
		} else {
			d.missing = append(d.missing, path+"."+key+" is missing")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p)) {
		if _, ok := w[key]; !ok {
			d.besides = append(d.besides, path+"."+key)
		}
	}
}

// byName turns a list of objects with names, as versions and columns are, into an object. Of any other value it is nil.
func byName(value any) map[string]any {
	list, _ := value.([]any)
	if len(list) == 0 {
		return nil
	}
	named := map[string]any{}
	for _, element := range list {
		object, _ := element.(map[string]any)
		name, ok := object["name"].(string)
		if !ok {
			return nil
		}
		named[name] = object
	}
	return named
}

// some is the first of several texts, with the number of the others.
func some(texts []string) string {
	if len(texts) == 1 {
		return texts[0]
	}
	return fmt.Sprintf("%s (and %d more)", texts[0], len(texts)-1)
}

// at returns the value of a field in nested objects, or nil.
func at(object map[string]any, path ...string) any {
	var value any = object
	for _, key := range path {
		inner, _ := value.(map[string]any)
		value = inner[key]
	}
	return value
}

// parse reads an embedded manifest.
func parse(document string) map[string]any {
	text, err := yaml.YAMLToJSON([]byte(document))
	object := map[string]any{}
	if err == nil {
		err = json.Unmarshal(text, &object)
	}
	if err != nil {
		panic(fmt.Sprintf("embedded manifest: %v", err))
	}
	return object
}
