package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pack packs the programs of a small repository for three systems, in a folder of its own.
func pack(t *testing.T) string {
	t.Helper()
	root, out := t.TempDir(), filepath.Join(t.TempDir(), "release")
	if err := repositoryWith(root); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), []string{
		"binaries", "-root", root, "-out", out, "-version", "v0.1.0", "-revision", "abc", "-created", "1700000000",
		"-platform", "linux/arm64,darwin/arm64,windows/amd64",
	}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// unpacked is one file of an archive; target is what a link points to.
type unpacked struct {
	data   []byte
	target string
}

func readTarGz(t *testing.T, file string) map[string]unpacked {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]unpacked{}
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[path.Base(h.Name)] = unpacked{data, h.Linkname}
	}
}

func readZip(t *testing.T, file string) map[string]unpacked {
	t.Helper()
	r, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all := map[string]unpacked{}
	for _, f := range r.File {
		content, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		all[path.Base(f.Name)] = unpacked{data: data}
	}
	return all
}

func TestArchivesHaveProgramsOfTheirSystem(t *testing.T) {
	out := pack(t)
	linux := readTarGz(t, filepath.Join(out, "khronicle_v0.1.0_linux_arm64.tar.gz"))
	darwin := readTarGz(t, filepath.Join(out, "khronicle_v0.1.0_darwin_arm64.tar.gz"))
	windows := readZip(t, filepath.Join(out, "khronicle_v0.1.0_windows_amd64.zip"))
	for _, name := range []string{"khronicle", "khcheck"} {
		if f, err := elf.NewFile(bytes.NewReader(linux[name].data)); err != nil || f.Machine != elf.EM_AARCH64 {
			t.Errorf("%s for linux/arm64: %v, %+v", name, err, f)
		}
		if f, err := macho.NewFile(bytes.NewReader(darwin[name].data)); err != nil || f.Cpu != macho.CpuArm64 {
			t.Errorf("%s for darwin/arm64: %v, %+v", name, err, f)
		}
		if f, err := pe.NewFile(bytes.NewReader(windows[name+".exe"].data)); err != nil || f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 {
			t.Errorf("%s for windows/amd64: %v, %+v", name, err, f)
		}
	}
	if got := linux["kubectl-khronicle"].target; got != "khronicle" {
		t.Errorf("kubectl-khronicle is a link to %q, want khronicle", got)
	}
	if !bytes.Equal(windows["kubectl-khronicle.exe"].data, windows["khronicle.exe"].data) {
		t.Error("kubectl-khronicle.exe differs from khronicle.exe")
	}
	for _, name := range []string{"LICENSE", "NOTICE", "THIRD_PARTY_LICENSES"} {
		if len(linux[name].data) == 0 || len(windows[name].data) == 0 {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestChecksumsAreThoseOfAllFiles(t *testing.T) {
	out := pack(t)
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, entry := range entries {
		if entry.Name() == "SHA256SUMS" {
			continue
		}
		content, err := os.ReadFile(filepath.Join(out, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		want[entry.Name()] = fmt.Sprintf("%x", sha256.Sum256(content))
	}
	if len(want) != 9 { // three archives, each with the SBOMs of two programs
		t.Errorf("%d files, want 9: %v", len(want), want)
	}
	text, err := os.ReadFile(filepath.Join(out, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(text)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		got[name] = sum
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("checksums (-want +got):\n%s", d)
	}
}

func TestTwoArchivesOfOneCommitAreEqual(t *testing.T) {
	if d := cmp.Diff(sums(t, pack(t)), sums(t, pack(t))); d != "" {
		t.Errorf("the files of two builds differ:\n%s", d)
	}
}

func TestBinariesDoNotReplaceAFolderOfOthers(t *testing.T) {
	out := t.TempDir()
	precious := filepath.Join(out, "precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), []string{"binaries", "-root", out, "-out", out, "-version", "v1", "-revision", "abc", "-created", "1"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "has no file SHA256SUMS") {
		t.Errorf("%v, want an error that names SHA256SUMS", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}
