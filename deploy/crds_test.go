package deploy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// definition has the parts of a CustomResourceDefinition that users and their scripts rely on.
type definition struct {
	Metadata struct{ Name string }
	Spec     struct {
		Group, Scope string
		Names        struct {
			Kind, ListKind, Plural, Singular string
			ShortNames                       []string
		}
		Versions []version
	}
}

type version struct {
	Name                     string
	Served, Storage          bool
	AdditionalPrinterColumns []column
	Subresources             *struct{ Status *struct{} }
	Schema                   struct{ OpenAPIV3Schema schema }
}

type column struct{ Name, Type, JSONPath string }

type schema struct {
	Type                  string
	Required              []string
	Properties            map[string]schema
	Nullable              bool
	Default               any
	PreserveUnknownFields bool `json:"x-kubernetes-preserve-unknown-fields"`
}

func definitions(t *testing.T) map[string]definition {
	t.Helper()
	all := map[string]definition{}
	for _, file := range kustomized(t, "crds") {
		var d definition
		if err := yaml.Unmarshal([]byte(read(t, "crds/"+file)), &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[d.Spec.Names.Plural] = d
	}
	return all
}

// These names are Kuberhealthy v2's. A change would break manifests, scripts or clients.
func TestDefinitionsKeepKuberhealthysNames(t *testing.T) {
	tests := []struct{ plural, singular, short, kind string }{
		{"khchecks", "khcheck", "khc", "KuberhealthyCheck"},
		{"khjobs", "khjob", "khj", "KuberhealthyJob"},
		{"khstates", "khstate", "khs", "KuberhealthyState"},
	}
	all := definitions(t)
	for _, test := range tests {
		t.Run(test.plural, func(t *testing.T) {
			want := definition{}
			want.Metadata.Name = test.plural + ".comcast.github.io"
			want.Spec.Group, want.Spec.Scope = "comcast.github.io", "Namespaced"
			want.Spec.Names.Kind, want.Spec.Names.ListKind = test.kind, test.kind+"List"
			want.Spec.Names.Plural, want.Spec.Names.Singular = test.plural, test.singular
			want.Spec.Names.ShortNames = []string{test.short}
			got := all[test.plural]
			if versions := got.Spec.Versions; len(versions) != 1 || versions[0].Name != "v1" ||
				!versions[0].Served || !versions[0].Storage {
				t.Errorf("versions are %+v, want v1 alone", versions)
			}
			got.Spec.Versions = nil
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestDefinitionsKeepKuberhealthysFields(t *testing.T) {
	text := func(names string) map[string]string {
		types := map[string]string{}
		for name := range strings.FieldsSeq(names) {
			types[name] = "string"
		}
		return types
	}
	with := func(types map[string]string, more map[string]string) map[string]string {
		for name, kind := range more {
			types[name] = kind
		}
		return types
	}
	workload := map[string]string{"podSpec": "object", "extraAnnotations": "object", "extraLabels": "object"}
	tests := []struct {
		plural   string
		required []string
		types    map[string]string
	}{
		{"khchecks", []string{"podSpec", "timeout"}, with(text("runInterval timeout"), workload)},
		{"khjobs", []string{"podSpec", "timeout"}, with(text("phase timeout"), workload)},
		{
			"khstates",
			[]string{"AuthoritativePod", "Errors", "Namespace", "Node", "OK", "RunDuration", "uuid"},
			with(text("AuthoritativePod LastRun Namespace Node RunDuration khWorkload uuid"),
				map[string]string{"OK": "boolean", "Errors": "array"}),
		},
	}
	all := definitions(t)
	for _, test := range tests {
		t.Run(test.plural, func(t *testing.T) {
			object := all[test.plural].Spec.Versions[0].Schema.OpenAPIV3Schema
			spec := object.Properties["spec"]
			if object.Required != nil {
				t.Errorf("requires %q, want nothing: spec is optional", object.Required)
			}
			if slices.Sort(spec.Required); !slices.Equal(spec.Required, test.required) {
				t.Errorf("spec requires %q, want %q", spec.Required, test.required)
			}
			for name, kind := range test.types {
				if got := spec.Properties[name].Type; got != kind {
					t.Errorf("spec.%s is of type %q, want %q", name, got, kind)
				}
			}
			for name, property := range spec.Properties {
				if property.Default != nil {
					t.Errorf("spec.%s has the default %v: a state or check would not read as it was written", name, property.Default)
				}
			}
		})
	}
}

func TestStateKeepsWhatClientsAndKubectlShow(t *testing.T) {
	state := definitions(t)["khstates"].Spec.Versions[0]
	want := []column{
		{"OK", "string", ".spec.OK"},
		{"Age LastRun", "date", ".spec.LastRun"},
		{"Age", "date", ".metadata.creationTimestamp"},
	}
	if got := state.AdditionalPrinterColumns; len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("first columns are %+v, want %+v", got, want)
	}
	if state.Subresources != nil && state.Subresources.Status != nil {
		t.Error("has a status subresource; Kuberhealthy has none")
	}
	for _, name := range []string{"LastRun", "khWorkload"} {
		if spec := state.Schema.OpenAPIV3Schema.Properties["spec"]; !spec.Properties[name].Nullable {
			t.Errorf("spec.%s cannot be null; Kuberhealthy writes null", name)
		}
	}
}

// kubectl, GitOps tools and kstatus read the status. A manifest of Kuberhealthy v2 may hold anything there.
func TestCheckHasAStatus(t *testing.T) {
	check := definitions(t)["khchecks"].Spec.Versions[0]
	if check.Subresources == nil || check.Subresources.Status == nil {
		t.Error("khchecks has no status subresource")
	}
	status := check.Schema.OpenAPIV3Schema.Properties["status"]
	if !status.PreserveUnknownFields {
		t.Error("an unknown field of a status would be refused by kubectl")
	}
	if diff := cmp.Diff(map[string]any{"observedGeneration": float64(-1)}, status.Default); diff != "" {
		t.Errorf("default of the status (-want +got):\n%s", diff)
	}
	want := []column{
		{"Healthy", "string", `.status.conditions[?(@.type=="Healthy")].status`},
		{"Last Run", "date", ".status.lastRunTime"},
		{"Schedule", "string", ".status.schedule"},
		{"Suspended", "boolean", ".spec.suspend"},
		{"Age", "date", ".metadata.creationTimestamp"},
	}
	if got := check.AdditionalPrinterColumns; len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("first columns are %+v, want %+v", got, want)
	}
	if jobs := definitions(t)["khjobs"].Spec.Versions[0]; jobs.Subresources != nil {
		t.Error("khjobs has subresources; its phase is in its spec")
	}
}
