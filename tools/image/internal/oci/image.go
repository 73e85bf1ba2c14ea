// Package oci makes images of static programs, without a base image and without Docker. It makes the image of each platform
// and the index of all, writes the files that container runtimes take, and pushes to a registry.
package oci

import (
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Settings are what an image says about itself, on each platform.
type Settings struct {
	Entrypoint string
	// Ports are those that the program listens on, such as 8080/tcp.
	Ports  []string
	Labels map[string]string
	// Created is the time of the commit, so that equal sources make equal images.
	Created time.Time
}

// Variant is the image of one platform.
type Variant struct {
	Platform v1.Platform
	Image    v1.Image
	// SBOM lists what the program is made of.
	SBOM []byte
}

// Layered is a layer and where it comes from.
type Layered struct {
	Layer v1.Layer
	From  string
}

// Image makes the image of one platform from layers, the lowest first.
func Image(s Settings, p v1.Platform, layers ...Layered) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	created := v1.Time{Time: s.Created.UTC()}
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{
		OS: p.OS, Architecture: p.Architecture, Created: created,
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User: User, WorkingDir: "/", Entrypoint: []string{s.Entrypoint}, Labels: s.Labels, ExposedPorts: ports(s.Ports),
			Env: []string{"PATH=/", "ZONEINFO=" + zones},
		},
	})
	for _, l := range layers {
		if err == nil {
			image, err = mutate.Append(image, mutate.Addendum{Layer: l.Layer, History: v1.History{Created: created, CreatedBy: l.From}})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make image for %s: %w", p, err)
	}
	return image, nil
}

func ports(all []string) map[string]struct{} {
	set := map[string]struct{}{}
	for _, port := range all {
		set[port] = struct{}{}
	}
	return set
}

// Index is the image of all platforms. Its annotations repeat the labels: registries show these.
func Index(labels map[string]string, variants []Variant) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, v := range variants {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: v.Image, Descriptor: v1.Descriptor{Platform: &v.Platform}})
	}
	return mutate.Annotations(index, labels).(v1.ImageIndex)
}
