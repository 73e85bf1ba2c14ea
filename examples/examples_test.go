// Package examples_test reads the examples as the API server and the checks do: strictly.
package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/cmd/khcheck/demo"
	"github.com/khronicle/khronicle/cmd/khcheck/dnscheck"
	"github.com/khronicle/khronicle/cmd/khcheck/httpcheck"
	"github.com/khronicle/khronicle/cmd/khcheck/podstatus"
	"github.com/khronicle/khronicle/cmd/khcheck/settings"
)

// run has the fields that a check and a job have in common.
type run struct {
	file, name        string
	interval, timeout string
	pod               corev1.PodSpec
}

var separator = regexp.MustCompile(`(?m)^---\n`)

// runs returns the checks and jobs of all examples. An unknown field is an error.
func runs(t *testing.T) []run {
	t.Helper()
	var all []run
	files, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, scripts...) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range separator.Split(string(content), -1) {
			all = append(all, decode(t, file, []byte(document))...)
		}
	}
	return all
}

// decode returns the check or job of a document, or nothing.
func decode(t *testing.T, file string, document []byte) []run {
	t.Helper()
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	switch kind.Kind {
	case khv1.CheckKind:
		var check khv1.KuberhealthyCheck
		if err := yaml.UnmarshalStrict(document, &check); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		return []run{{file, check.Name, check.Spec.RunInterval, check.Spec.Timeout, check.Spec.PodSpec}}
	case khv1.JobKind:
		var job khv1.KuberhealthyJob
		if err := yaml.UnmarshalStrict(document, &job); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		return []run{{file, job.Name, "1h", job.Spec.Timeout, job.Spec.PodSpec}}
	default:
		return nil
	}
}

func TestChecksAndJobsAreRight(t *testing.T) {
	all := runs(t)
	if len(all) != 7 {
		t.Fatalf("got %d checks and jobs, want 7", len(all))
	}
	for _, r := range all {
		t.Run(r.name, func(t *testing.T) {
			interval, err := time.ParseDuration(r.interval)
			if err != nil {
				t.Errorf("runInterval: %v", err)
			}
			if timeout, err := time.ParseDuration(r.timeout); err != nil || timeout >= interval {
				t.Errorf("timeout %q: want a duration below the interval %q", r.timeout, r.interval)
			}
			for _, container := range r.pod.Containers {
				if container.Image != "khronicle/khcheck:dev" {
					scriptReads(t, filepath.Dir(r.file), container)
				} else if problems := configure(t, container); problems != nil {
					t.Errorf("%s: %q", r.file, problems)
				}
			}
		})
	}
}

// scriptReads returns variables that the script in a folder does not read, and an image that its Dockerfile does not build.
func scriptReads(t *testing.T, folder string, container corev1.Container) {
	t.Helper()
	scripts, err := filepath.Glob(folder + "/check.*")
	if err != nil || len(scripts) != 1 {
		t.Fatalf("%s has %q, want one check: %v", folder, scripts, err)
	}
	text, err := os.ReadFile(scripts[0])
	if err != nil {
		t.Fatal(err)
	}
	for name := range variables(container) {
		if !strings.Contains(string(text), name) {
			t.Errorf("%s does not read %s", scripts[0], name)
		}
	}
	recipe, err := os.ReadFile(folder + "/Dockerfile")
	if err != nil || !strings.Contains(string(recipe), "docker build -t "+container.Image+" examples/"+folder+"\n") {
		t.Errorf("%s/Dockerfile does not say how to build %s: %v", folder, container.Image, err)
	}
}

func variables(container corev1.Container) map[string]string {
	variables := map[string]string{}
	for _, variable := range container.Env {
		variables[variable.Name] = variable.Value
	}
	return variables
}

// configure returns what is wrong with the variables of a container, according to its check.
func configure(t *testing.T, container corev1.Container) []string {
	t.Helper()
	variables := variables(container)
	env := settings.New(func(name string) string { return variables[name] })
	switch {
	case slices.Equal(container.Args, []string{"http"}):
		httpcheck.FromEnv(env)
	case slices.Equal(container.Args, []string{"dns"}):
		dnscheck.FromEnv(env)
	case slices.Equal(container.Args, []string{"pod-status"}):
		podstatus.FromEnv(env)
	case slices.Equal(container.Args, []string{"demo"}):
		demo.FromEnv(env)
	default:
		t.Errorf("args %q: no such check", container.Args)
	}
	return env.Problems()
}

func TestKustomizationListsEveryExample(t *testing.T) {
	content, err := os.ReadFile("kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var kustomization struct{ Resources []string }
	if err := yaml.Unmarshal(content, &kustomization); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	listed := append(kustomization.Resources, "kustomization.yaml")
	slices.Sort(listed)
	if !slices.Equal(listed, files) {
		t.Errorf("kustomization.yaml lists %q, the folder holds %q", listed, files)
	}
}
