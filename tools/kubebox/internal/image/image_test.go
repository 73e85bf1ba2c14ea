package image_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/khronicle/khronicle/tools/kubebox/internal/image"
)

type entry struct {
	header *tar.Header
	data   []byte
}

func untar(t *testing.T, b []byte) map[string]entry {
	t.Helper()
	out := map[string]entry{}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = entry{h, data}
	}
}

func write(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

type manifest []struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func readManifest(t *testing.T, files map[string]entry) manifest {
	t.Helper()
	var m manifest
	if err := json.Unmarshal(files["manifest.json"].data, &m); err != nil {
		t.Fatal(err)
	}
	if len(m) != 1 || len(m[0].Layers) != 1 {
		t.Fatalf("manifest = %+v, want one image of one layer", m)
	}
	return m
}

func pack(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	files := []image.File{
		{Source: write(t, "check", "binary", 0o700), Target: "/opt/bin/check"},
		{Source: write(t, "data", "text", 0o600), Target: "/opt/data"},
	}
	if err := image.Pack(&b, "registry.local/check:1", files); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPackedImageRunsAsAnyUser(t *testing.T) {
	files := untar(t, pack(t))
	m := readManifest(t, files)
	if got := m[0].RepoTags[0]; got != "registry.local/check:1" {
		t.Errorf("name = %q", got)
	}
	layer := untar(t, files[m[0].Layers[0]].data)
	for name, mode := range map[string]int64{
		"tmp/": 0o1777, "etc/": 0o755, "etc/passwd": 0o644, "opt/": 0o755, "opt/bin/": 0o755,
		"opt/bin/check": 0o755, "opt/data": 0o644,
	} {
		e, ok := layer[name]
		if !ok {
			t.Errorf("layer lacks %s", name)
			continue
		}
		if e.header.Mode != mode || e.header.Uid != 0 {
			t.Errorf("%s has mode %o of user %d, want %o of user 0", name, e.header.Mode, e.header.Uid, mode)
		}
	}
	if got := string(layer["opt/bin/check"].data); got != "binary" {
		t.Errorf("content = %q", got)
	}
}

func TestPackedImageStartsTheFirstFile(t *testing.T) {
	files := untar(t, pack(t))
	var config struct {
		Config struct{ Entrypoint []string }
		Rootfs struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	if err := json.Unmarshal(files[readManifest(t, files)[0].Config].data, &config); err != nil {
		t.Fatal(err)
	}
	if got := config.Config.Entrypoint; len(got) != 1 || got[0] != "/opt/bin/check" {
		t.Errorf("entrypoint = %q", got)
	}
	if len(config.Rootfs.DiffIDs) != 1 {
		t.Errorf("diff ids = %q", config.Rootfs.DiffIDs)
	}
}

func TestEqualInputGivesEqualImages(t *testing.T) {
	if !bytes.Equal(pack(t), pack(t)) {
		t.Error("two images of the same files differ")
	}
}

func TestBuildRenamesAnArchive(t *testing.T) {
	archive := write(t, "old.tar", string(pack(t)), 0o600)
	var b bytes.Buffer
	if err := image.Build(&b, "registry.local/new:2", []image.File{{Source: archive, Target: "/old.tar"}}); err != nil {
		t.Fatal(err)
	}
	files := untar(t, b.Bytes())
	m := readManifest(t, files)
	if got := m[0].RepoTags; len(got) != 1 || got[0] != "registry.local/new:2" {
		t.Errorf("names = %q", got)
	}
	if _, ok := files[m[0].Layers[0]]; !ok {
		t.Error("the layer was lost")
	}
}

const (
	ociLayout = `{"imageLayoutVersion":"1.0.0"}`
	ociImage  = `{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:00","size":7,"annotations":{"io.containerd.image.name":"old:1"}}`
	ociOne    = `{"schemaVersion":2,"manifests":[` + ociImage + `]}`
	ociTwo    = `{"schemaVersion":2,"manifests":[` + ociImage + `,` + ociImage + `]}`
	dockerOne = `[{"Config":"c.json","RepoTags":["old:1"],"Layers":["l.tar"]}]`
	dockerTwo = `[{"Config":"c.json"},{"Config":"d.json"}]`
)

// archive writes a tar with these files, and one that no name is in.
func archive(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	files["blobs/sha256/00"] = "content"
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return write(t, "image.tar", b.String(), 0o600)
}

func TestBuildRenamesOneFormatOfAnArchive(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  map[string]string
	}{
		{
			"an OCI layout",
			map[string]string{"oci-layout": ociLayout, "index.json": ociOne},
			map[string]string{"oci-layout": ociLayout, "index.json": "docker.io/team/new:2"},
		},
		{
			"both formats",
			map[string]string{"oci-layout": ociLayout, "index.json": ociOne, "manifest.json": dockerOne, "repositories": "{}"},
			map[string]string{"oci-layout": ociLayout, "index.json": "docker.io/team/new:2"},
		},
		{
			"both formats with one image under two names",
			map[string]string{"oci-layout": ociLayout, "index.json": ociTwo, "manifest.json": dockerOne},
			map[string]string{"manifest.json": "team/new:2"},
		},
		{
			"an index that is of no layout",
			map[string]string{"index.json": ociOne, "manifest.json": dockerOne},
			map[string]string{"manifest.json": "team/new:2"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			source := archive(t, tt.files)
			if err := image.Build(&b, "team/new:2", []image.File{{Source: source, Target: "/image.tar"}}); err != nil {
				t.Fatal(err)
			}
			got := untar(t, b.Bytes())
			if len(got) != len(tt.want)+1 || string(got["blobs/sha256/00"].data) != "content" {
				t.Errorf("files %v, want the blob and %v", got, tt.want)
			}
			for name, text := range tt.want {
				if data := string(got[name].data); !strings.Contains(data, text) || strings.Contains(data, "old:1") {
					t.Errorf("%s = %s, want one with %s and without the old name", name, data, text)
				}
			}
		})
	}
}

func TestBuildRefusesArchivesOfOtherFormats(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"no image", map[string]string{}, "neither oci-layout with index.json nor manifest.json"},
		{"no list of images", map[string]string{"manifest.json": "{}"}, "decode manifest.json"},
		{"an index that is no JSON", map[string]string{"oci-layout": ociLayout, "index.json": "x"}, "decode index.json"},
		{"two images", map[string]string{"manifest.json": dockerTwo}, "holds 2 images, want 1"},
		{"a layout of two images", map[string]string{"oci-layout": ociLayout, "index.json": ociTwo}, "holds 2 images, want 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			source := archive(t, tt.files)
			err := image.Build(io.Discard, "team/new:2", []image.File{{Source: source, Target: "/image.tar"}})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), source) {
				t.Errorf("Build() = %v, want an error with %q and the file", err, tt.want)
			}
		})
	}
}

func TestBuildRefusesWhatCannotRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := write(t, "text", "#!/bin/sh\n", 0o700)
	tests := []struct {
		name  string
		files []string
	}{
		{"nothing", nil},
		{"a missing file", []string{"/nonexistent"}},
		{"a script", []string{text}},
		{"an archive and more", []string{text, self}},
		{"a dynamic executable", []string{"/bin/sh"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var files []image.File
			for _, s := range tt.files {
				files = append(files, image.File{Source: s, Target: "/x"})
			}
			if err := image.Build(io.Discard, "registry.local/x:1", files); err == nil {
				t.Error("Build() succeeded")
			}
		})
	}
}

func TestParseFile(t *testing.T) {
	tests := []struct {
		in   string
		want image.File
		ok   bool
	}{
		{"bin/check", image.File{Source: "bin/check", Target: "/check"}, true},
		{"bin/check:/opt/check", image.File{Source: "bin/check", Target: "/opt/check"}, true},
		{"bin/check:opt", image.File{}, false},
		{"bin/check:/", image.File{}, false},
		{"bin/check:/a/../../b", image.File{}, false},
		{":/x", image.File{}, false},
		{"", image.File{}, false},
	}
	for _, tt := range tests {
		got, err := image.ParseFile(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("ParseFile(%q) = %+v, %v; want %+v, ok %v", tt.in, got, err, tt.want, tt.ok)
		}
	}
}

func TestCheckRef(t *testing.T) {
	for ref, ok := range map[string]bool{
		"check:1": true, "registry.local/check:1": true, "localhost:5000/check:1": true,
		"check:latest": true, "check": false, "check:": false, "localhost:5000/check": false, "a b:1": false, "check@sha256:00": false,
	} {
		if err := image.CheckRef(ref); (err == nil) != ok {
			t.Errorf("CheckRef(%q) = %v, want ok %v", ref, err, ok)
		}
	}
}
