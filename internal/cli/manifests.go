package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/khronicle/khronicle/internal/lint"
)

// standardInput is the argument that means the standard input. stdinName is its name in findings.
const (
	standardInput = "-"
	stdinName     = "stdin"
)

// manifests reads the files that the arguments name, each once.
type manifests struct {
	linter *lint.Linter
	input  io.Reader
	seen   map[string]bool
}

func (m manifests) read(args []string) {
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case arg == standardInput:
			m.readInput()
		case err != nil:
			m.linter.Unreadable(arg, cause(err))
		case info.IsDir():
			m.readDirectory(arg)
		default:
			m.readFile(arg)
		}
	}
}

func (m manifests) readInput() {
	if m.seen[standardInput] {
		return
	}
	m.seen[standardInput] = true
	content, err := io.ReadAll(m.input)
	if err != nil {
		m.linter.Unreadable(stdinName, err)
		return
	}
	m.linter.Add(stdinName, content)
}

func (m manifests) readFile(path string) {
	path = filepath.Clean(path)
	if m.seen[path] {
		return
	}
	m.seen[path] = true
	content, err := os.ReadFile(path)
	if err != nil {
		m.linter.Unreadable(path, cause(err))
		return
	}
	m.linter.Add(path, content)
}

// readDirectory reads the manifests of a directory and of the directories in it. Hidden ones such as .git are left out.
// A directory without manifests is an error, so that a CI job with a wrong path fails. root may be a symbolic link.
func (m manifests) readDirectory(root string) {
	found := false
	// The walk begins at ".", because it would not follow a link.
	_ = fs.WalkDir(os.DirFS(root), ".", func(inside string, entry fs.DirEntry, err error) error { // it returns what the function does
		path := filepath.Join(root, inside)
		switch {
		case err != nil:
			m.linter.Unreadable(path, cause(err))
			found = true
		case entry.IsDir() && inside != "." && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(path))):
			m.readFile(path)
			found = true
		}
		return nil
	})
	if !found {
		m.linter.Unreadable(root, errors.New("holds no *.yaml, *.yml or *.json"))
	}
}

// cause returns the error without the path, because the finding begins with the path.
func cause(err error) error {
	if wrong := (*fs.PathError)(nil); errors.As(err, &wrong) {
		return wrong.Err
	}
	return err
}
