// Package sbom lists the modules of a Go program in CycloneDX, from what the compiler wrote into the program itself.
// So it lists what was linked, and not what some go.mod asks for.
package sbom

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/package-url/packageurl-go"
)

// MediaType is that of the list, also as an artifact in a registry. Extension is that of its file: scanners go by it.
const (
	MediaType = "application/vnd.cyclonedx+json"
	Extension = ".cdx.json"
)

// Subject is what the program does not know of itself.
type Subject struct {
	Name, Version, License string
	// Created is the time of the list. The time of the commit makes equal builds equal.
	Created time.Time
}

// OfProgram returns the list of a program's modules.
func OfProgram(file string, s Subject) ([]byte, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the modules of %s: %w", file, err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read program: %w", err)
	}
	bom, err := list(info, sha256.Sum256(content), s)
	if err != nil {
		return nil, fmt.Errorf("list the modules of %s: %w", file, err)
	}
	var out bytes.Buffer
	if err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("encode the modules of %s: %w", file, err)
	}
	return out.Bytes(), nil
}

func list(info *debug.BuildInfo, sum [sha256.Size]byte, s Subject) (*cdx.BOM, error) {
	program := module(info.Main.Path, s.Version)
	program.Type, program.Name = cdx.ComponentTypeApplication, s.Name
	program.Licenses = &cdx.Licenses{{License: &cdx.License{ID: s.License}}}
	program.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}}

	parts := []cdx.Component{module("stdlib", strings.TrimPrefix(info.GoVersion, "go"))}
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		part := module(dep.Path, dep.Version)
		if dep.Sum != "" {
			hash, err := hashOf(dep)
			if err != nil {
				return nil, err
			}
			part.Hashes = &[]cdx.Hash{hash}
		}
		parts = append(parts, part)
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Timestamp: s.Created.UTC().Format(time.RFC3339), Component: &program}
	bom.Components = &parts
	bom.Dependencies = &[]cdx.Dependency{{Ref: program.BOMRef, Dependencies: refs(parts)}}
	return bom, nil
}

func module(name, version string) cdx.Component {
	folder, base := path.Split(name)
	purl := packageurl.NewPackageURL(packageurl.TypeGolang, strings.TrimSuffix(folder, "/"), base, version, nil, "").ToString()
	return cdx.Component{
		Type: cdx.ComponentTypeLibrary, BOMRef: purl, Name: name, Version: version,
		PackageURL: purl, Scope: cdx.ScopeRequired,
	}
}

// hashOf translates a sum of go.sum, which is a SHA-256 of all files of the module.
func hashOf(m *debug.Module) (cdx.Hash, error) {
	text, found := strings.CutPrefix(m.Sum, "h1:")
	sum, err := base64.StdEncoding.DecodeString(text)
	if !found || err != nil {
		return cdx.Hash{}, fmt.Errorf("module %s has the sum %q, want h1: and base64", m.Path, m.Sum)
	}
	return cdx.Hash{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}, nil
}

func refs(parts []cdx.Component) *[]string {
	var all []string
	for _, part := range parts {
		all = append(all, part.BOMRef)
	}
	return &all
}
