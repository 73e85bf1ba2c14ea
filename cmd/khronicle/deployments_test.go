package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

// The Deployments of deploy/manifests are read by the same parser as at the start of their pods.
func TestDeploymentsHaveArgumentsThatTheirRolesAccept(t *testing.T) {
	files, err := filepath.Glob("../../deploy/manifests/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(content), "\n---\n") {
			var d appsv1.Deployment
			if err := yaml.Unmarshal([]byte(document), &d); err != nil || d.Kind != "Deployment" {
				continue // package deploy reads all objects strictly
			}
			found++
			args := d.Spec.Template.Spec.Containers[0].Args
			command, flags, err := rootCommand().Find(args)
			if err != nil || "khronicle-"+command.Name() != d.Name {
				t.Errorf("%s: args %q, error %v, want those of its role", d.Name, args, err)
				continue
			}
			if err := command.ParseFlags(flags); err != nil {
				t.Errorf("%s: args %q: %v", d.Name, args, err)
			}
		}
	}
	if found != 3 {
		t.Errorf("%d Deployments, want one for each role", found)
	}
}
