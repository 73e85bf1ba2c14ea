package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
)

// rename copies a docker-archive and gives its image the one name ref.
// The OCI index that newer tools add is left out: it would bring its own names.
func rename(out io.Writer, ref, source string) error {
	f, err := os.Open(source)
	if err != nil {
		return fmt.Errorf("open image archive: %w", err)
	}
	defer f.Close()
	w := tar.NewWriter(out)
	named := false
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read image archive %s: %w (neither a static executable nor a tar)", source, err)
		}
		var content io.Reader = r
		switch path.Clean(h.Name) {
		case "index.json", "oci-layout", "repositories":
			continue
		case "manifest.json":
			text, err := renameManifest(r, ref)
			if err != nil {
				return fmt.Errorf("read image archive %s: %w", source, err)
			}
			h.Size, content, named = int64(len(text)), bytes.NewReader(text), true
		}
		if err := w.WriteHeader(h); err != nil {
			return fmt.Errorf("write image archive: %w", err)
		}
		if _, err := io.Copy(w, content); err != nil {
			return fmt.Errorf("write image archive: %w", err)
		}
	}
	if !named {
		return fmt.Errorf("image archive %s has no manifest.json: want the format of docker save", source)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("write image archive: %w", err)
	}
	return nil
}

func renameManifest(r io.Reader, ref string) ([]byte, error) {
	var images []manifest
	if err := json.NewDecoder(r).Decode(&images); err != nil {
		return nil, fmt.Errorf("decode manifest.json: %w", err)
	}
	if len(images) != 1 {
		return nil, fmt.Errorf("manifest.json holds %d images, want 1", len(images))
	}
	images[0].RepoTags = []string{ref}
	return json.Marshal(images)
}
