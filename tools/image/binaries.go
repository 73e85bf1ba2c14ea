package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/khronicle/khronicle/tools/image/internal/archive"
	"github.com/khronicle/khronicle/tools/image/internal/licenses"
	"github.com/khronicle/khronicle/tools/image/internal/program"
	"github.com/khronicle/khronicle/tools/image/internal/sbom"
)

const (
	binaryPlatforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64"
	// sumsFile lists all other files of the folder, in the format of sha256sum.
	sumsFile = "SHA256SUMS"
)

// binaryBuild packs the programs of one release.
type binaryBuild struct {
	release
	sums bytes.Buffer
}

func binaries(ctx context.Context, args []string, out, errs io.Writer) error {
	_, parse := flags("binaries", errs, binaryPlatforms)
	r, err := parse(args)
	if err != nil {
		return err
	}
	if err := clearFolder(r.out, sumsFile); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return fmt.Errorf("create folder for results: %w", err)
	}
	b := &binaryBuild{release: r}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FILE\tSIZE\tSHA-256")
	for _, p := range b.platforms {
		if err := b.pack(ctx, p, table); err != nil {
			return fmt.Errorf("programs for %s: %w", p, err)
		}
	}
	if err := os.WriteFile(filepath.Join(r.out, sumsFile), b.sums.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write checksums: %w", err)
	}
	return table.Flush()
}

// pack writes the archive of a platform, and the SBOM of each program in it.
func (b *binaryBuild) pack(ctx context.Context, p program.Platform, table io.Writer) error {
	folder, err := os.MkdirTemp("", "binaries-")
	if err != nil {
		return fmt.Errorf("create folder for programs: %w", err)
	}
	defer os.RemoveAll(folder)
	extension := ""
	if p.OS == "windows" {
		extension = ".exe"
	}
	var built []string
	for _, one := range products {
		if one.source == "" {
			continue
		}
		file := filepath.Join(folder, one.name+extension)
		if err := (program.Source{Root: b.root, Version: b.version}).Build(ctx, one.source, p, file); err != nil {
			return err
		}
		built = append(built, file)
		list, err := sbom.OfProgram(file, sbom.Subject{Name: one.name, Version: b.version, License: one.license, Created: b.created})
		if err != nil {
			return err
		}
		if err := b.add(b.fileName(one.name, p)+sbom.Extension, list, table); err != nil {
			return err
		}
	}
	files, err := b.files(ctx, built, extension)
	if err != nil {
		return err
	}
	return b.archive(p, files, table)
}

// files are what an archive has: the programs, the plugin of kubectl, which is khronicle by another name, and licenses.
func (b *binaryBuild) files(ctx context.Context, built []string, extension string) ([]archive.File, error) {
	var files []archive.File
	for _, file := range built {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read program: %w", err)
		}
		name := filepath.Base(file)
		files = append(files, archive.File{Name: name, Mode: 0o755, Data: content})
		if name == "khronicle"+extension {
			files = append(files, archive.File{Name: "kubectl-" + name, Mode: 0o755, Data: content, SameAs: name})
		}
	}
	own, err := ownLicenses(b.root)
	if err != nil {
		return nil, err
	}
	for _, one := range own {
		files = append(files, archive.File{Name: one.name, Mode: 0o644, Data: one.text})
	}
	third, err := licenses.OfPrograms(ctx, built...)
	return append(files, archive.File{Name: thirdParty, Mode: 0o644, Data: third}), err
}

func (b *binaryBuild) fileName(name string, p program.Platform) string {
	return fmt.Sprintf("%s_%s_%s_%s", name, b.version, p.OS, p.Arch)
}

func (b *binaryBuild) archive(p program.Platform, files []archive.File, table io.Writer) error {
	name := b.fileName("khronicle", p)
	pack, extension := archive.TarGz, ".tar.gz"
	if p.OS == "windows" {
		pack, extension = archive.Zip, ".zip"
	}
	var content bytes.Buffer
	if err := pack(&content, name, b.created, files); err != nil {
		return err
	}
	return b.add(name+extension, content.Bytes(), table)
}

// add writes a file of the release, and its line among the checksums.
func (b *binaryBuild) add(name string, content []byte, table io.Writer) error {
	if err := os.WriteFile(filepath.Join(b.out, name), content, 0o644); err != nil {
		return fmt.Errorf("write file of the release: %w", err)
	}
	sum := sha256.Sum256(content)
	fmt.Fprintf(&b.sums, "%x  %s\n", sum, name)
	_, err := fmt.Fprintf(table, "%s\t%.1f MB\t%x\n", name, float64(len(content))/1e6, sum)
	return err
}
