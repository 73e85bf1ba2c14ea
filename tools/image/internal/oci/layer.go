package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// File is one file of a layer, readable by all.
type File struct {
	// Path is absolute. A path that ends with a slash is a folder.
	Path string
	Mode int64
	Data []byte
}

// Layer packs files and the folders above them, sorted, all of root's and of one time. So equal files make equal layers.
func Layer(created time.Time, files []File) (v1.Layer, error) {
	content, err := pack(created, files)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression), tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("make layer: %w", err)
	}
	return layer, nil
}

func pack(created time.Time, files []File) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, file := range withFolders(files) {
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: strings.TrimPrefix(file.Path, "/"), Mode: file.Mode,
			Size: int64(len(file.Data)), ModTime: created, Format: tar.FormatPAX,
		}
		if strings.HasSuffix(file.Path, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("pack %s: %w", file.Path, err)
		}
		if _, err := w.Write(file.Data); err != nil {
			return nil, fmt.Errorf("pack %s: %w", file.Path, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack layer: %w", err)
	}
	return out.Bytes(), nil
}

// withFolders returns the files and the folders above them, sorted by path: a folder stands before what is in it.
func withFolders(files []File) []File {
	all := map[string]File{}
	for _, file := range files {
		for folder := path.Dir(strings.TrimSuffix(file.Path, "/")); folder != "/"; folder = path.Dir(folder) {
			if _, known := all[folder+"/"]; !known {
				all[folder+"/"] = File{Path: folder + "/", Mode: 0o755}
			}
		}
		all[file.Path] = file
	}
	sorted := make([]File, 0, len(all))
	for _, file := range all {
		sorted = append(sorted, file)
	}
	slices.SortFunc(sorted, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return sorted
}
