package licenses_test

import (
	"debug/buildinfo"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/khronicle/khronicle/tools/image/internal/licenses"
)

func TestEachModuleHasItsLicense(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", file, "github.com/khronicle/khronicle/tools/image").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := licenses.OfPrograms(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) == 0 {
		t.Fatal("the program has no modules")
	}
	for _, dep := range info.Deps {
		if !strings.Contains(string(content), "==== "+dep.Path+" "+dep.Version+" (") {
			t.Errorf("no license of %s", dep.Path)
		}
	}
	if text := "==== Go's standard library (LICENSE)\n\nCopyright"; !strings.Contains(string(content), text) {
		t.Errorf("no license of Go itself")
	}
}

func TestAFileThatIsNoProgramIsNamed(t *testing.T) {
	if _, err := licenses.OfPrograms(t.Context(), "licenses_test.go"); err == nil || !strings.Contains(err.Error(), "licenses_test.go") {
		t.Errorf("%v, want an error that names the file", err)
	}
}
