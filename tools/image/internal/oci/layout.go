package oci

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// WriteLayout writes the index as an OCI layout into a new folder. Its one entry carries the name of the image.
func WriteLayout(dir string, tag name.Tag, index v1.ImageIndex) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create layout: %w", err)
	}
	path, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = path.AppendIndex(index, layout.WithAnnotations(map[string]string{
			"io.containerd.image.name":          Familiar(tag),
			"org.opencontainers.image.ref.name": tag.TagStr(),
		}))
	}
	if err != nil {
		return fmt.Errorf("write layout of %s: %w", tag, err)
	}
	return nil
}

// Familiar is the name as Kubernetes and containerd write it: docker.io, not index.docker.io.
func Familiar(tag name.Tag) string {
	registry := tag.RegistryStr()
	if registry == name.DefaultRegistry {
		registry = "docker.io"
	}
	return registry + "/" + tag.RepositoryStr() + ":" + tag.TagStr()
}

// WriteArchive packs a layout into one file. containerd, kind and podman read it as OCI layout with all platforms. Programs
// that know the format of `docker save` alone find the image first in it.
func WriteArchive(out io.Writer, dir string, tag name.Tag, first v1.Image, created time.Time) error {
	w := tar.NewWriter(out)
	old, err := dockerManifest(tag, first)
	if err == nil {
		err = writeFile(w, "manifest.json", created, old)
	}
	if err == nil {
		err = writeTree(w, dir, created)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("write archive of %s: %w", tag, err)
	}
	return nil
}

// dockerManifest points to the layers where the layout has them.
func dockerManifest(tag name.Tag, image v1.Image) ([]byte, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return nil, err
	}
	blob := func(d v1.Descriptor) string { return "blobs/" + d.Digest.Algorithm + "/" + d.Digest.Hex }
	entry := tarball.Descriptor{Config: blob(manifest.Config), RepoTags: []string{Familiar(tag)}}
	for _, layer := range manifest.Layers {
		entry.Layers = append(entry.Layers, blob(layer))
	}
	return json.Marshal(tarball.Manifest{entry})
}

// writeTree packs the files of a folder in the order of their names.
func writeTree(w *tar.Writer, dir string, created time.Time) error {
	return filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		return writeFile(w, filepath.ToSlash(relative), created, content)
	})
}

func writeFile(w *tar.Writer, file string, created time.Time, content []byte) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: file, Mode: 0o644, Size: int64(len(content)), ModTime: created}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}
