package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/khronicle/khronicle/tools/image/internal/licenses"
	"github.com/khronicle/khronicle/tools/image/internal/oci"
	"github.com/khronicle/khronicle/tools/image/internal/program"
	"github.com/khronicle/khronicle/tools/image/internal/sbom"
)

// variant makes the image of one platform: the shared layer, and one with the program.
func (b *imageBuild) variant(ctx context.Context, p product, platform program.Platform) (oci.Variant, error) {
	file, err := b.program(ctx, p, platform)
	if err != nil {
		return oci.Variant{}, err
	}
	version, err := b.versionOf(p, file)
	if err != nil {
		return oci.Variant{}, err
	}
	parts, err := sbom.OfProgram(file, sbom.Subject{Name: p.name, Version: version, License: p.license, Created: b.created})
	if err != nil {
		return oci.Variant{}, err
	}
	files, err := b.files(ctx, p, file, parts)
	if err != nil {
		return oci.Variant{}, err
	}
	layer, err := oci.Layer(b.created, files)
	if err != nil {
		return oci.Variant{}, err
	}
	settings := oci.Settings{Entrypoint: "/" + p.name, Ports: p.ports, Created: b.created, Labels: b.labels(p, version)}
	where := v1.Platform{OS: platform.OS, Architecture: platform.Arch}
	image, err := oci.Image(settings, where, b.base, oci.Layered{Layer: layer, From: p.name + " " + version})
	return oci.Variant{Platform: where, Image: image, SBOM: parts}, err
}

// program returns the file of the product's program, compiled if it is of this repository.
func (b *imageBuild) program(ctx context.Context, p product, platform program.Platform) (string, error) {
	if p.built != "" {
		return filepath.Join(b.root, strings.ReplaceAll(p.built, "{arch}", platform.Arch)), nil
	}
	file := filepath.Join(b.programs, p.name+"-"+platform.Arch)
	return file, program.Source{Root: b.root, Version: b.version}.Build(ctx, p.source, platform, file)
}

// versionOf is that of the release, or what a program of others says.
func (b *imageBuild) versionOf(p product, file string) (string, error) {
	if p.built == "" {
		return b.version, nil
	}
	return program.VersionOf(file)
}

// files are what the image has above the shared layer.
func (b *imageBuild) files(ctx context.Context, p product, file string, parts []byte) ([]oci.File, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read program: %w", err)
	}
	third, err := licenses.OfPrograms(ctx, file)
	if err != nil {
		return nil, err
	}
	folder := "/usr/share/licenses/" + p.name + "/"
	files := []oci.File{
		{Path: "/" + p.name, Mode: 0o755, Data: content},
		{Path: "/usr/share/sbom/" + p.name + sbom.Extension, Mode: 0o644, Data: parts},
		{Path: folder + thirdParty, Mode: 0o644, Data: third},
	}
	if p.built != "" {
		return files, nil
	}
	own, err := ownLicenses(b.root)
	for _, one := range own {
		files = append(files, oci.File{Path: folder + one.name, Mode: 0o644, Data: one.text})
	}
	return files, err
}

// thirdParty is the file with the licenses of the modules that a program was linked from.
const thirdParty = "THIRD_PARTY_LICENSES"

type license struct {
	name string
	text []byte
}

// ownLicenses are those of this repository.
func ownLicenses(root string) ([]license, error) {
	var all []license
	for _, name := range []string{"LICENSE", "NOTICE"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, fmt.Errorf("read license: %w", err)
		}
		all = append(all, license{name, text})
	}
	return all, nil
}

func (b *imageBuild) labels(p product, version string) map[string]string {
	const key = "org.opencontainers.image."
	return map[string]string{
		key + "title": p.name, key + "description": p.description, key + "version": version, key + "revision": b.revision,
		key + "source": repository, key + "documentation": repository + "/blob/main/docs/install.md", key + "vendor": "The Khronicle Authors",
		key + "licenses": p.license, key + "created": b.created.Format("2006-01-02T15:04:05Z"),
	}
}
