package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// repositoryWith makes a small repository with programs of the names that a release has.
func repositoryWith(dir string) error {
	files := map[string]string{
		"go.mod":                "module example.com/small\n\ngo 1.26.0\n",
		"cmd/khronicle/main.go": "package main\n\nvar version string\n\nfunc main() { println(version) }\n",
		"cmd/khcheck/main.go":   "package main\n\nfunc main() {}\n",
		"LICENSE":               "license\n", "NOTICE": "notice\n",
	}
	for file, content := range files {
		file = filepath.Join(dir, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// build makes the images of a small repository in a folder of its own, and returns the folder of the results.
func build(t *testing.T, args ...string) string {
	t.Helper()
	root, out := t.TempDir(), filepath.Join(t.TempDir(), "images")
	if err := repositoryWith(root); err != nil {
		t.Fatal(err)
	}
	runImages(t, append([]string{"-root", root, "-out", out}, args...)...)
	return out
}

func runImages(t *testing.T, args ...string) {
	t.Helper()
	if err := run(t.Context(), append(slices.Clone(arguments), args...), io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
}

// built makes images once, for all tests that only look at them.
var built = sync.OnceValue(func() error {
	root := filepath.Join(shared, "root")
	return errors.Join(repositoryWith(root), run(context.Background(), append(arguments, "-root", root, "-out", filepath.Join(shared, "images")), io.Discard, os.Stderr))
})

var (
	shared    string // the folder of built
	arguments = []string{"images", "-version", "v0.1.0", "-revision", "abc", "-created", "1700000000", "-only", "khronicle,khcheck"}
)

func TestMain(m *testing.M) {
	var err error
	if shared, err = os.MkdirTemp("", "image-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(shared)
	os.Exit(code)
}

func results(t *testing.T) string {
	t.Helper()
	if err := built(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(shared, "images")
}

// imagesOf returns the images of a layout by their platform.
func imagesOf(t *testing.T, dir string) map[string]v1.Image {
	t.Helper()
	top, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := top.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("%v; the layout has %d entries, want 1: crane push takes no other", err, len(manifest.Manifests))
	}
	index, err := top.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return variantsOf(t, index)
}

func variantsOf(t *testing.T, index v1.ImageIndex) map[string]v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]v1.Image{}
	for _, m := range manifest.Manifests {
		if all[m.Platform.String()], err = index.Image(m.Digest); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func sums(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	all := map[string][sha256.Size]byte{}
	err := filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(file)
		all[strings.TrimPrefix(file, dir)] = sha256.Sum256(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTwoBuildsInTwoFoldersAreEqual(t *testing.T) {
	t.Setenv("GOAMD64", "v3") // a setting of the machine that must not matter
	first, second := sums(t, build(t)), sums(t, results(t))
	if d := cmp.Diff(second, first); d != "" {
		t.Errorf("the files of two builds differ (-second +first):\n%s", d)
	}
}

func TestAnOlderResultIsReplaced(t *testing.T) {
	out := build(t)
	root := t.TempDir()
	if err := repositoryWith(root); err != nil {
		t.Fatal(err)
	}
	runImages(t, "-root", root, "-out", out, "-version", "v0.2.0", "-platform", "linux/arm64")
	if got := imagesOf(t, filepath.Join(out, "khronicle")); len(got) != 1 || got["linux/arm64"] == nil {
		t.Errorf("platforms %v, want linux/arm64 alone", got)
	}
}

func TestConfigOfAnImage(t *testing.T) {
	images := imagesOf(t, filepath.Join(results(t), "khronicle"))
	if len(images) != 2 {
		t.Fatalf("platforms %v, want two", images)
	}
	for platform, image := range images {
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		want := v1.Config{
			User: "65532:65532", WorkingDir: "/", Entrypoint: []string{"/khronicle"},
			Env:          []string{"PATH=/", "ZONEINFO=/usr/share/zoneinfo.zip"},
			ExposedPorts: map[string]struct{}{"8080/tcp": {}, "8081/tcp": {}},
			Labels: map[string]string{
				"org.opencontainers.image.title": "khronicle", "org.opencontainers.image.version": "v0.1.0",
				"org.opencontainers.image.description":   "Kubernetes health checks as durable workflows: worker, starter and report API",
				"org.opencontainers.image.revision":      "abc",
				"org.opencontainers.image.source":        "https://github.com/khronicle/khronicle",
				"org.opencontainers.image.documentation": "https://github.com/khronicle/khronicle/blob/main/docs/install.md",
				"org.opencontainers.image.vendor":        "The Khronicle Authors",
				"org.opencontainers.image.licenses":      "Apache-2.0",
				"org.opencontainers.image.created":       "2023-11-14T22:13:20Z",
			},
		}
		if d := cmp.Diff(want, config.Config); d != "" {
			t.Errorf("%s (-want +got):\n%s", platform, d)
		}
		if got := config.OS + "/" + config.Architecture; got != platform {
			t.Errorf("config of %s is for %s", platform, got)
		}
		if got := config.Created.Unix(); got != 1_700_000_000 {
			t.Errorf("%s was created at %d", platform, got)
		}
	}
}

// entries reads all layers.
func entries(t *testing.T, image v1.Image) map[string]*tar.Header {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*tar.Header{}
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for r := tar.NewReader(content); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			all["/"+h.Name] = h
		}
	}
	return all
}

func TestAnImageHasOneProgramAndNoShell(t *testing.T) {
	for platform, image := range imagesOf(t, filepath.Join(results(t), "khcheck")) {
		var files, programs []string
		for file, h := range entries(t, image) {
			if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 1_700_000_000 {
				t.Errorf("%s: %s is of %d:%d and %s, want root and the time of the commit", platform, file, h.Uid, h.Gid, h.ModTime)
			}
			if h.Typeflag == tar.TypeDir {
				continue
			}
			files = append(files, file)
			if h.Mode&0o111 != 0 {
				programs = append(programs, file)
			}
		}
		slices.Sort(files)
		want := []string{
			"/etc/group", "/etc/passwd", "/etc/ssl/certs/ca-certificates.crt", "/khcheck",
			"/usr/share/licenses/khcheck/LICENSE", "/usr/share/licenses/khcheck/NOTICE", "/usr/share/licenses/khcheck/THIRD_PARTY_LICENSES",
			"/usr/share/sbom/khcheck.cdx.json", "/usr/share/zoneinfo.zip",
		}
		if d := cmp.Diff(want, files); d != "" {
			t.Errorf("%s: files (-want +got):\n%s", platform, d)
		}
		if d := cmp.Diff([]string{"/khcheck"}, programs); d != "" {
			t.Errorf("%s: programs (-want +got):\n%s", platform, d)
		}
	}
}

func TestImagesShareTheLowestLayer(t *testing.T) {
	digests := map[v1.Hash]bool{}
	for _, of := range []string{"khronicle", "khcheck"} {
		for _, image := range imagesOf(t, filepath.Join(results(t), of)) {
			manifest, err := image.Manifest()
			if err != nil {
				t.Fatal(err)
			}
			digests[manifest.Layers[0].Digest] = true
		}
	}
	if len(digests) != 1 {
		t.Errorf("%d digests of the lowest layer, want 1", len(digests))
	}
}

func TestTheArchiveIsOneOfDockerSaveToo(t *testing.T) {
	archive := filepath.Join(results(t), "khronicle.tar")
	image, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	want, err := imagesOf(t, filepath.Join(results(t), "khronicle"))["linux/amd64"].ConfigName()
	if err != nil || got != want {
		t.Errorf("%v; config %s, want that of linux/amd64, %s", err, got, want)
	}
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(archive) })
	if err != nil || manifest[0].RepoTags[0] != "docker.io/khronicle/khronicle:v0.1.0" {
		t.Errorf("%v; manifest %+v", err, manifest)
	}
}

func TestPushUploadsAllPlatformsAndTheirSBOMs(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	prefix := strings.TrimPrefix(server.URL, "http://") + "/team"
	out := build(t, "-push", prefix)

	ref, err := name.ParseReference(prefix + "/khronicle:v0.1.0")
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for platform, image := range variantsOf(t, index) {
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		referrers, err := remote.Referrers(ref.Context().Digest(digest.String()), remote.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := referrers.IndexManifest()
		if err != nil || len(manifest.Manifests) != 1 || manifest.Manifests[0].ArtifactType != "application/vnd.cyclonedx+json" {
			t.Fatalf("%v; %s has the referrers %+v, want one SBOM", err, platform, manifest)
		}
		artifact, err := remote.Image(ref.Context().Digest(manifest.Manifests[0].Digest.String()), remote.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(out, "khronicle_"+strings.ReplaceAll(platform, "/", "_")+".cdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		if got := onlyLayer(t, artifact); !bytes.Equal(got, want) {
			t.Errorf("the SBOM of %s in the registry differs from the file", platform)
		}
	}
}

func onlyLayer(t *testing.T, image v1.Image) []byte {
	t.Helper()
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%v; %d layers, want 1", err, len(layers))
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The program of others is one of a module that this module requires.
func TestAProgramOfOthersKeepsItsVersion(t *testing.T) {
	root, out := t.TempDir(), filepath.Join(t.TempDir(), "images")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(root, "bin", "temporal-linux-amd64"), "github.com/klauspost/compress/s2/cmd/s2c")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	runImages(t, "-root", root, "-out", out, "-only", "temporal", "-platform", "linux/amd64")
	image := imagesOf(t, filepath.Join(out, "temporal"))["linux/amd64"]
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Config.Labels["org.opencontainers.image.version"]; !strings.HasPrefix(got, "v1.") {
		t.Errorf("version %q, want that of the module", got)
	}
	if got := config.Config.Labels["org.opencontainers.image.licenses"]; got != "MIT" {
		t.Errorf("license %q, want MIT", got)
	}
	if _, found := entries(t, image)["/usr/share/licenses/temporal/LICENSE"]; found {
		t.Error("the license of Khronicle stands for the program of others")
	}
}

func TestDigestsAreThoseOfTheLayouts(t *testing.T) {
	got, err := os.ReadFile(filepath.Join(results(t), "DIGESTS"))
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	for _, of := range []string{"khronicle", "khcheck"} {
		top, err := layout.ImageIndexFromPath(filepath.Join(results(t), of))
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := top.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		want += manifest.Manifests[0].Digest.Hex + "  docker.io/khronicle/" + of + ":v0.1.0\n"
	}
	if string(got) != want {
		t.Errorf("digests %q, want %q", got, want)
	}
}

func TestWrongInputIsNamed(t *testing.T) {
	foreign := t.TempDir()
	if err := os.MkdirAll(filepath.Join(foreign, "khcheck", "precious"), 0o755); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := repositoryWith(root); err != nil {
		t.Fatal(err)
	}
	good := []string{"images", "-root", root, "-out", t.TempDir(), "-version", "v1", "-revision", "abc", "-created", "1", "-only", "khcheck", "-platform", "linux/amd64"}
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no command", nil, "want the command images or binaries"},
		{"another command", []string{"bake"}, "want the command images or binaries"},
		{"an argument", append(slices.Clone(good), "now"), `"now" is no flag`},
		{"no version", append(slices.Clone(good), "-version", ""), "flag -version is missing"},
		{"a version that is no tag", append(slices.Clone(good), "-version", "1+2"), `version "1+2"`},
		{"a time that is no number", append(slices.Clone(good), "-created", "today"), `created "today"`},
		{"an unknown image", append(slices.Clone(good), "-only", "khronicle,doom"), `image "doom": want one of khronicle, khcheck, temporal`},
		{"an image for Windows", append(slices.Clone(good), "-platform", "windows/amd64"), "windows/amd64: images are for linux alone"},
		{"a platform that Go does not know", append(slices.Clone(good), "-platform", "linux/pdp11"), "linux/pdp11"},
		{"a registry with capital letters", append(slices.Clone(good), "-prefix", "docker.io/Team"), "repository"},
		{"a folder of others", append(slices.Clone(good), "-out", foreign), "has no file oci-layout"},
		{"a program that was not built", append(slices.Clone(good), "-only", "temporal"), "temporal-linux-amd64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := run(t.Context(), tt.args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want an error with %q", err, tt.want)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(foreign, "khcheck", "precious")); err != nil {
		t.Error(err)
	}
}
