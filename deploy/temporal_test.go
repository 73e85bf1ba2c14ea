package deploy_test

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/khronicle/khronicle/internal/devserver"
	"github.com/khronicle/khronicle/workflows"
)

var searchAttribute = regexp.MustCompile(`--name (\w+) --type (\w+)`)

func TestNamespaceGetsTheSearchAttributesOfTheContract(t *testing.T) {
	got, want := map[string]string{}, map[string]string{}
	for _, found := range searchAttribute.FindAllStringSubmatch(read(t, "temporal/namespace.sh"), -1) {
		got[found[1]] = found[2]
	}
	for _, key := range workflows.SearchAttributeKeys() {
		want[key.GetName()] = key.GetValueType().String()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("contract -, script +:\n%s", diff)
	}
}

func TestScriptsAreShell(t *testing.T) {
	for _, script := range []string{"schema.sh", "namespace.sh"} {
		if out, err := exec.CommandContext(t.Context(), "sh", "-n", "temporal/"+script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", script, err, out)
		}
		if !strings.Contains(read(t, "temporal/"+script), "\nset -eu\n") {
			t.Errorf("%s: goes on after an error", script)
		}
	}
}

// Temporal refuses the whole file if one setting is not a list of values.
func TestDynamicConfigIsOfTheServersForm(t *testing.T) {
	var settings map[string][]struct {
		Value       any
		Constraints map[string]any
	}
	if err := yaml.UnmarshalStrict([]byte(read(t, "temporal/dynamicconfig.yaml")), &settings); err != nil {
		t.Fatal(err)
	}
	for name, values := range settings {
		for _, setting := range values {
			if setting.Value == nil {
				t.Errorf("%s: has no value", name)
			}
		}
	}
}

// Both servers have the same settings, so that measurements of one are true for the other.
func TestDynamicConfigIsThatOfTheDevServer(t *testing.T) {
	var file map[string][]struct{ Value any }
	if err := yaml.Unmarshal([]byte(read(t, "temporal/dynamicconfig.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	args := devserver.Options{}.Args()
	compared := 0
	for i, arg := range args[:len(args)-1] {
		if arg != "--dynamic-config-value" {
			continue
		}
		compared++
		name, want, _ := strings.Cut(args[i+1], "=")
		if values := file[name]; len(values) != 1 || fmt.Sprint(values[0].Value) != want {
			t.Errorf("%s: file has %v, dev server %s", name, values, want)
		}
	}
	if compared == 0 {
		t.Error("the dev server has no dynamic configuration")
	}
}
