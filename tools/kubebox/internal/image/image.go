// Package image makes image archives for the node. It packs static binaries into an image without a base, in the format of
// docker save. It changes the name in an existing archive, which may be an OCI layout too.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

const passwd = "root:x:0:0:root:/:/\nnonroot:x:65532:65532:nonroot:/:/\n"

// File is one file of a packed image.
type File struct {
	// Source is the path on this machine, Target the absolute path in the image.
	Source, Target string
}

// ParseFile reads SOURCE or SOURCE:TARGET. Without a target the file is put in the image's root folder.
func ParseFile(s string) (File, error) {
	source, target, found := strings.Cut(s, ":")
	if !found {
		target = "/" + filepath.Base(source)
	}
	if source == "" || !path.IsAbs(target) || path.Clean(target) != target || target == "/" {
		return File{}, fmt.Errorf("image file %q: want SOURCE or SOURCE:/absolute/path", s)
	}
	return File{Source: source, Target: target}, nil
}

// FileName is the name of the archive of an image reference, another one for each reference.
func FileName(ref string) string { return url.QueryEscape(ref) + ".tar" }

// CheckRef refuses references without a tag: they would mean the tag latest, and the kubelet would try to pull.
func CheckRef(ref string) error {
	name := ref[strings.LastIndexByte(ref, '/')+1:]
	_, tag, tagged := strings.Cut(name, ":")
	if !tagged || tag == "" || strings.Contains(ref, "@") || strings.ContainsAny(ref, " \t\n\\") {
		return fmt.Errorf("image %q: want NAME:TAG", ref)
	}
	return nil
}

// Build writes the archive of image ref to out. A single file that is an image archive is renamed;
// any other first file has to be a static executable, and becomes the entrypoint.
func Build(out io.Writer, ref string, files []File) error {
	if len(files) == 0 {
		return fmt.Errorf("build image %s: no files", ref)
	}
	isBinary, err := checkExecutable(files[0].Source)
	if err != nil {
		return err
	}
	if isBinary {
		return Pack(out, ref, files)
	}
	if len(files) > 1 {
		return fmt.Errorf("build image %s: %s is no executable, and an archive cannot take more files", ref, files[0].Source)
	}
	return rename(out, ref, files[0].Source)
}

// checkExecutable reports whether the file is an ELF executable, and fails if a scratch image could not run it.
func checkExecutable(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, fmt.Errorf("open image file: %w", err)
	}
	defer f.Close()
	magic := make([]byte, len(elf.ELFMAG))
	if _, err := io.ReadFull(f, magic); err != nil || string(magic) != elf.ELFMAG {
		return false, nil
	}
	e, err := elf.NewFile(f)
	if err != nil {
		return false, fmt.Errorf("read executable %s: %w", name, err)
	}
	for _, p := range e.Progs {
		if p.Type == elf.PT_INTERP {
			return true, fmt.Errorf("%s needs a dynamic loader, which a scratch image does not have: build it with CGO_ENABLED=0", name)
		}
	}
	return true, nil
}

// Pack writes an image of one layer with the files, /tmp, and /etc/passwd with root and nonroot (65532).
func Pack(out io.Writer, ref string, files []File) error {
	layer, err := packLayer(files)
	if err != nil {
		return err
	}
	diff := digest(layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "created": "1970-01-01T00:00:00Z",
		"config": map[string]any{"Entrypoint": []string{files[0].Target}, "Env": []string{"PATH=/:/bin"}, "WorkingDir": "/"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + diff}},
	})
	if err != nil {
		return fmt.Errorf("encode image config: %w", err)
	}
	m := manifest{Config: digest(config) + ".json", RepoTags: []string{ref}, Layers: []string{diff + "/layer.tar"}}
	text, err := json.Marshal([]manifest{m})
	if err != nil {
		return fmt.Errorf("encode image manifest: %w", err)
	}
	w := &archive{tar: tar.NewWriter(out)}
	w.file("manifest.json", 0o644, text)
	w.file(m.Config, 0o644, config)
	w.file(m.Layers[0], 0o644, layer)
	return w.close()
}

// manifest is an entry of manifest.json.
type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func packLayer(files []File) ([]byte, error) {
	var b bytes.Buffer
	w := &archive{tar: tar.NewWriter(&b), dirs: map[string]bool{}}
	w.dir("tmp", 0o1777)
	w.dir("etc", 0o755)
	w.file("etc/passwd", 0o644, []byte(passwd))
	for _, f := range files {
		info, err := os.Stat(f.Source)
		if err != nil {
			return nil, fmt.Errorf("pack image file: %w", err)
		}
		text, err := os.ReadFile(f.Source)
		if err != nil {
			return nil, fmt.Errorf("pack image file: %w", err)
		}
		target := strings.TrimPrefix(f.Target, "/")
		w.parents(target)
		w.file(target, modeForAll(info.Mode()), text)
	}
	if err := w.close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// modeForAll lets any user read a file, and execute it if its owner could.
func modeForAll(m os.FileMode) int64 {
	if m&0o100 != 0 {
		return 0o755
	}
	return 0o644
}

// archive writes a tar and keeps the first error. Everything in it belongs to root and has no time, so that equal input gives equal output.
type archive struct {
	tar  *tar.Writer
	dirs map[string]bool
	err  error
}

func (a *archive) dir(name string, mode int64) {
	if a.err == nil && !a.dirs[name] {
		a.dirs[name] = true
		a.err = a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode})
	}
}

// parents writes the folders above a file, outermost first.
func (a *archive) parents(name string) {
	for i, r := range name {
		if r == '/' {
			a.dir(name[:i], 0o755)
		}
	}
}

func (a *archive) file(name string, mode int64, content []byte) {
	if a.err == nil {
		a.err = a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))})
	}
	if a.err == nil {
		_, a.err = a.tar.Write(content)
	}
}

func (a *archive) close() error {
	if err := errors.Join(a.err, a.tar.Close()); err != nil {
		return fmt.Errorf("write image archive: %w", err)
	}
	return nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
