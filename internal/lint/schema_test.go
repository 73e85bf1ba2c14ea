package lint

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/khronicle/khronicle/test/golden"
)

// fromDefinitions returns what schema.json must hold.
func fromDefinitions(t *testing.T) []byte {
	t.Helper()
	all := map[string]*schema{}
	for _, plural := range []string{"khchecks", "khjobs"} {
		content, err := os.ReadFile("../../deploy/crds/comcast.github.io_" + plural + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		var definition struct {
			Spec struct {
				Names    struct{ Kind string }
				Versions []struct {
					Schema struct{ OpenAPIV3Schema json.RawMessage }
				}
			}
		}
		if err := yaml.Unmarshal(content, &definition); err != nil {
			t.Fatal(err)
		}
		all[definition.Spec.Names.Kind] = readStrictly(t, withoutStatus(t, definition.Spec.Versions[0].Schema.OpenAPIV3Schema))
	}
	content, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return append(content, '\n')
}

// withoutStatus removes the status from a schema: that of a manifest is ignored.
func withoutStatus(t *testing.T, content []byte) []byte {
	t.Helper()
	var tree map[string]any
	if err := json.Unmarshal(content, &tree); err != nil {
		t.Fatal(err)
	}
	delete(tree["properties"].(map[string]any), "status")
	content, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// readStrictly fails on a keyword that lint does not know: lint would pass what the API server refuses.
func readStrictly(t *testing.T, content []byte) *schema {
	t.Helper()
	var tree any
	if err := json.Unmarshal(content, &tree); err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(withoutIgnored(tree))
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	var s schema
	if err := decoder.Decode(&s); err != nil {
		t.Fatalf("the definitions have a keyword that lint does not know: %v", err)
	}
	return &s
}

// withoutIgnored removes keywords that lint need not know. They refuse nothing, or lint checks the same elsewhere: that
// runInterval or schedule is required, and anyOf of x-kubernetes-int-or-string.
func withoutIgnored(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = withoutIgnored(value[i])
		}
	case map[string]any:
		if _, isSchema := value["x-kubernetes-int-or-string"]; isSchema {
			delete(value, "anyOf")
		}
		for _, key := range []string{"x-kubernetes-list-type", "x-kubernetes-map-type"} {
			delete(value, key)
		}
		if rules, ok := value["x-kubernetes-validations"].([]any); ok && len(rules) == 1 {
			if rule, _ := rules[0].(map[string]any); rule["rule"] == "has(self.runInterval) || has(self.schedule)" {
				delete(value, "x-kubernetes-validations")
			}
		}
		for key := range value {
			value[key] = withoutIgnored(value[key])
		}
	}
	return value
}

func TestSchemaIsThatOfTheDefinitions(t *testing.T) {
	want := fromDefinitions(t)
	if *golden.Update {
		if err := os.WriteFile("schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("schema.json is not that of deploy/crds; make generate writes it anew")
	}
}

// The definitions leave out the fields of metadata.
func TestMetadataSchemaHasEveryField(t *testing.T) {
	want := []string{
		"annotations", "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName",
		"generation", "labels", "managedFields", "name", "namespace", "ownerReferences", "resourceVersion", "selfLink", "uid",
	}
	if diff := cmp.Diff(want, jsonFields(t)); diff != "" {
		t.Fatalf("ObjectMeta: want -, got +:\n%s", diff)
	}
	properties := metadataSchema().Properties
	for _, field := range want {
		if properties[field] == nil {
			t.Errorf("metadata.%s is unknown", field)
		}
	}
	if len(properties) != len(want) {
		t.Errorf("%d fields, want %d", len(properties), len(want))
	}
}

// jsonFields returns the names of the fields of an ObjectMeta.
func jsonFields(t *testing.T) []string {
	t.Helper()
	var names []string
	kind := reflect.TypeFor[metav1.ObjectMeta]()
	for i := range kind.NumField() {
		name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
