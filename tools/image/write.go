package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/khronicle/khronicle/tools/image/internal/oci"
	"github.com/khronicle/khronicle/tools/image/internal/sbom"
)

// write puts the layout, the archive and the SBOMs of an image into the folder for results.
func (b *imageBuild) write(p product, tag name.Tag, index v1.ImageIndex, variants []oci.Variant) error {
	dir := filepath.Join(b.out, p.name)
	if err := clearFolder(dir, "oci-layout"); err != nil {
		return err
	}
	if err := oci.WriteLayout(dir, tag, index); err != nil {
		return err
	}
	for _, v := range variants {
		file := fmt.Sprintf("%s_%s_%s%s", dir, v.Platform.OS, v.Platform.Architecture, sbom.Extension)
		if err := os.WriteFile(file, v.SBOM, 0o644); err != nil {
			return fmt.Errorf("write SBOM: %w", err)
		}
	}
	archive, err := os.Create(dir + ".tar")
	if err != nil {
		return fmt.Errorf("create archive: %w", err)
	}
	defer archive.Close()
	if err := oci.WriteArchive(archive, dir, tag, variants[0].Image, b.created); err != nil {
		return err
	}
	return archive.Close()
}

// clearFolder removes a folder of an earlier build, which has this file. A folder of others is not touched.
func clearFolder(dir, file string) error {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for an earlier build: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
		return fmt.Errorf("folder %s is not empty and has no file %s, so it is not replaced: name another folder with -out", dir, file)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove an earlier build: %w", err)
	}
	return nil
}

// list writes a line for each platform, and one for the index.
func list(table io.Writer, tag name.Tag, all v1.Hash, variants []oci.Variant) error {
	for _, v := range variants {
		manifest, err := v.Image.Manifest()
		if err != nil {
			return err
		}
		digest, err := v.Image.Digest()
		if err != nil {
			return err
		}
		size := manifest.Config.Size
		for _, layer := range manifest.Layers {
			size += layer.Size
		}
		fmt.Fprintf(table, "%s\t%s\t%.1f MB\t%s\n", tag, v.Platform, float64(size)/1e6, digest)
	}
	_, err := fmt.Fprintf(table, "%s\tall\t\t%s\n", tag, all)
	return err
}
