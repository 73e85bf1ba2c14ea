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

	"github.com/distribution/reference"
)

// The files of an archive that name its images: one of OCI, and two of docker save.
const (
	layoutFile   = "oci-layout"
	indexFile    = "index.json"
	manifestFile = "manifest.json"
	oldFile      = "repositories"
)

// rename copies an archive and gives its image the one name ref. An archive may be an OCI layout, one of docker save, or
// both. The layout is preferred if it has one image, because it may have several platforms. What names the image in the
// other format is left out: it would bring its own names.
func rename(out io.Writer, ref, source string) error {
	rewrite, err := rewriter(ref, source)
	if err != nil {
		return fmt.Errorf("read image archive %s: %w", source, err)
	}
	w := tar.NewWriter(out)
	err = walk(source, func(h *tar.Header, content io.Reader) error {
		change, known := rewrite[path.Clean(h.Name)]
		if known && change == nil {
			return nil
		}
		if known {
			text, err := change(content)
			if err != nil {
				return err
			}
			h.Size, content = int64(len(text)), bytes.NewReader(text)
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err := io.Copy(w, content)
		return err
	})
	if err := errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("rename image archive %s: %w", source, err)
	}
	return nil
}

// change returns the new content of a file.
type change func(io.Reader) ([]byte, error)

// rewriter returns what becomes of the files that name images; nil leaves a file out.
func rewriter(ref, source string) (map[string]change, error) {
	found := map[string]int{} // how many images a file has
	err := walk(source, func(h *tar.Header, content io.Reader) error {
		name := path.Clean(h.Name)
		switch name {
		case layoutFile:
			found[name] = 1
		case indexFile:
			var index ociIndex
			if err := json.NewDecoder(content).Decode(&index); err != nil {
				return fmt.Errorf("decode %s: %w", name, err)
			}
			found[name] = len(index.Manifests)
		case manifestFile:
			var images []manifest
			if err := json.NewDecoder(content).Decode(&images); err != nil {
				return fmt.Errorf("decode %s: %w", name, err)
			}
			found[name] = len(images)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case found[layoutFile] == 1 && found[indexFile] == 1:
		return map[string]change{indexFile: renameIndex(ref), manifestFile: nil, oldFile: nil}, nil
	case found[manifestFile] == 1:
		return map[string]change{manifestFile: renameManifest(ref), indexFile: nil, layoutFile: nil, oldFile: nil}, nil
	case found[manifestFile] > 1 || found[indexFile] > 1:
		return nil, fmt.Errorf("it holds %d images, want 1", max(found[manifestFile], found[indexFile]))
	default:
		return nil, fmt.Errorf("it has neither %s with %s nor %s: want an OCI layout or the format of docker save", layoutFile, indexFile, manifestFile)
	}
}

// walk calls visit for each entry of a tar.
func walk(source string, visit func(*tar.Header, io.Reader) error) error {
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w (neither a static executable nor a tar)", err)
		}
		if err := visit(h, r); err != nil {
			return err
		}
	}
}

// ociIndex is index.json. What is not used here stays as it is.
type ociIndex struct {
	SchemaVersion int                          `json:"schemaVersion"`
	MediaType     string                       `json:"mediaType,omitempty"`
	Manifests     []map[string]json.RawMessage `json:"manifests"`
}

// renameIndex names the image as containerd does, with docker.io where a name has no registry.
func renameIndex(ref string) change {
	return func(r io.Reader) ([]byte, error) {
		named, err := reference.ParseNormalizedNamed(ref)
		if err != nil {
			return nil, fmt.Errorf("image %q: %w", ref, err)
		}
		var index ociIndex
		if err := json.NewDecoder(r).Decode(&index); err != nil {
			return nil, fmt.Errorf("decode %s: %w", indexFile, err)
		}
		names, err := json.Marshal(map[string]string{"io.containerd.image.name": named.String()})
		if err != nil {
			return nil, fmt.Errorf("encode the name of the image: %w", err)
		}
		index.Manifests[0]["annotations"] = names
		return json.Marshal(index)
	}
}

func renameManifest(ref string) change {
	return func(r io.Reader) ([]byte, error) {
		var images []manifest
		if err := json.NewDecoder(r).Decode(&images); err != nil {
			return nil, fmt.Errorf("decode %s: %w", manifestFile, err)
		}
		images[0].RepoTags = []string{ref}
		return json.Marshal(images)
	}
}
