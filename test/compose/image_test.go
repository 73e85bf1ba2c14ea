package compose_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// images are the targets of the Dockerfile and the programs that they hold.
var images = map[string]string{"khronicle": "/khronicle", "khcheck": "/khcheck"}

func stages(t *testing.T) []instructions.Stage {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "deploy/Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, description, _, text string, _ []parser.Range) {
		t.Errorf("%s: %s (%s)", rule, text, description)
	}})
	all, _, err := instructions.Parse(parsed.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestImagesHoldOneProgramAndNoRoot(t *testing.T) {
	all := stages(t)
	for name, program := range images {
		i, ok := instructions.HasStage(all, name)
		if !ok {
			t.Errorf("no target %s", name)
			continue
		}
		var user, entrypoint string
		var held []string
		for _, command := range all[i].Commands {
			switch c := command.(type) {
			case *instructions.UserCommand:
				user = c.User
			case *instructions.EntrypointCommand:
				entrypoint = strings.Join(c.CmdLine, " ")
			case *instructions.CopyCommand:
				held = append(held, c.DestPath)
			}
		}
		if all[i].BaseName != "scratch" || user != "65532:65532" || entrypoint != program || !slices.Contains(held, program) {
			t.Errorf("%s: from %s, user %s, entrypoint %s, holds %q", name, all[i].BaseName, user, entrypoint, held)
		}
	}
}

func TestComposeBuildsATarget(t *testing.T) {
	all := stages(t)
	for _, name := range roles {
		build := project(t).Services[name].Build
		if _, ok := instructions.HasStage(all, build.Target); !ok || build.Dockerfile != "deploy/Dockerfile" {
			t.Errorf("%s: target %q of %s does not exist", name, build.Target, build.Dockerfile)
		}
	}
}

var goVersion = regexp.MustCompile(`(?m)^go (\d+\.\d+)`)

func TestImagesAreBuiltWithTheModulesGo(t *testing.T) {
	module, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	want := "golang:" + string(goVersion.FindSubmatch(module)[1]) + "."
	if got := stages(t)[0].BaseName; !strings.HasPrefix(got, want) {
		t.Errorf("built with %s, want %s…", got, want)
	}
}

// What .dockerignore leaves must suffice for what the Dockerfile builds, and be little else.
func TestBuildContextSuffices(t *testing.T) {
	context := t.TempDir()
	copyContext(t, context)
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-test=false", "-f", "{{.ImportPath}}", "./cmd/khronicle", "./cmd/khcheck")
	list.Dir = context
	list.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly", "CGO_ENABLED=0")
	if out, err := list.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, surplus := range []string{".git", "bin", "deploy/chart", "deploy/prometheus", "tools", "test", "docs", "examples"} {
		if _, err := os.Stat(filepath.Join(context, surplus)); err == nil {
			t.Errorf("%s is sent to the builder", surplus)
		}
	}
}

func copyContext(t *testing.T, to string) {
	t.Helper()
	ignore, err := os.Open(filepath.Join(root, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	defer ignore.Close()
	patterns, err := ignorefile.ReadAll(ignore)
	if err != nil {
		t.Fatal(err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		ignored, err := matcher.MatchesOrParentMatches(name)
		switch {
		case err != nil:
			return err
		case ignored && entry.IsDir():
			return fs.SkipDir
		case ignored:
			return nil
		case entry.IsDir():
			return os.Mkdir(filepath.Join(to, name), 0o750)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
