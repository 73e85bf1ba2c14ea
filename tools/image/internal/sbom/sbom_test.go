package sbom_test

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/xeipuuv/gojsonschema"

	"github.com/khronicle/khronicle/tools/image/internal/sbom"
)

var subject = sbom.Subject{Name: "tested", Version: "v1.2.3", License: "Apache-2.0", Created: time.Unix(1_700_000_000, 0)}

// listed builds a program with many modules, the one that makes images, and returns its list.
func listed(t *testing.T) (string, []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", file, "github.com/khronicle/khronicle/tools/image").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got, err := sbom.OfProgram(file, subject)
	if err != nil {
		t.Fatal(err)
	}
	return file, got
}

func decode(t *testing.T, content []byte) *cdx.BOM {
	t.Helper()
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(content), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	return &bom
}

func TestEachModuleOfTheProgramIsListed(t *testing.T) {
	file, content := listed(t)
	bom := decode(t, content)
	parts := map[string]cdx.Component{}
	for _, c := range *bom.Components {
		parts[c.Name] = c
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) == 0 {
		t.Fatal("the program has no modules")
	}
	for _, dep := range info.Deps {
		c := parts[dep.Path]
		if c.Version != dep.Version || c.Hashes == nil || len((*c.Hashes)[0].Value) != 64 {
			t.Errorf("%s is listed as %+v, want version %s and a SHA-256", dep.Path, c, dep.Version)
		}
	}
	if got, want := parts["stdlib"].Version, strings.TrimPrefix(info.GoVersion, "go"); got != want {
		t.Errorf("standard library %q, want %q", got, want)
	}
	if got, want := len(parts), len(info.Deps)+1; got != want {
		t.Errorf("%d components, want %d", got, want)
	}
}

func TestTheProgramIsTheSubject(t *testing.T) {
	_, content := listed(t)
	bom := decode(t, content)
	got := bom.Metadata.Component
	if got.Name != "tested" || got.Version != "v1.2.3" || (*got.Licenses)[0].License.ID != "Apache-2.0" {
		t.Errorf("subject %+v", got)
	}
	if want := "pkg:golang/github.com/khronicle/khronicle/tools/image@v1.2.3"; got.PackageURL != want {
		t.Errorf("package URL %s, want %s", got.PackageURL, want)
	}
	if want := "2023-11-14T22:13:20Z"; bom.Metadata.Timestamp != want {
		t.Errorf("time %s, want %s", bom.Metadata.Timestamp, want)
	}
}

func TestTheListFitsTheSchemaOfCycloneDX(t *testing.T) {
	_, content := listed(t)
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(strings.TrimSpace(string(dir)), "schema")
	schemas := gojsonschema.NewSchemaLoader()
	for _, part := range []string{"spdx.schema.json", "jsf-0.82.schemax.json"} {
		if err := schemas.AddSchemas(gojsonschema.NewReferenceLoader("file://" + filepath.Join(folder, part))); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := schemas.Compile(gojsonschema.NewReferenceLoader("file://" + filepath.Join(folder, "bom-1.6.schema.json")))
	if err != nil {
		t.Fatal(err)
	}
	result, err := schema.Validate(gojsonschema.NewBytesLoader(content))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range result.Errors() {
		t.Error(e)
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{text, text + "-missing"} {
		if _, err := sbom.OfProgram(file, subject); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("OfProgram(%s) = %v, want an error that names the file", file, err)
		}
	}
}
