package oci

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Push uploads the index under its tag. The SBOM of each platform follows as a referrer: an artifact whose subject is the
// image of that platform. Who may push is read from the file that `docker login` writes.
func Push(ctx context.Context, tag name.Tag, index v1.ImageIndex, variants []Variant, sbomType string) error {
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if err := remote.WriteIndex(tag, index, options...); err != nil {
		return fmt.Errorf("push %s: %w", tag, err)
	}
	for _, v := range variants {
		if err := pushReferrer(tag.Context(), v, sbomType, options); err != nil {
			return fmt.Errorf("push the SBOM of %s for %s: %w", tag, v.Platform, err)
		}
	}
	return nil
}

func pushReferrer(repository name.Repository, v Variant, sbomType string, options []remote.Option) error {
	artifact, err := referrer(v, sbomType)
	if err != nil {
		return err
	}
	digest, err := artifact.Digest()
	if err != nil {
		return err
	}
	return remote.Write(repository.Digest(digest.String()), artifact, options...)
}

// referrer is an artifact that names the image as its subject. The media type of its config is the type of the artifact.
func referrer(v Variant, sbomType string) (v1.Image, error) {
	subject, err := partial.Descriptor(v.Image)
	if err != nil {
		return nil, err
	}
	artifact := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	artifact = mutate.ConfigMediaType(artifact, types.MediaType(sbomType))
	artifact, err = mutate.Append(artifact, mutate.Addendum{Layer: static.NewLayer(v.SBOM, types.MediaType(sbomType))})
	if err != nil {
		return nil, err
	}
	plain := v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	return mutate.Subject(artifact, plain).(v1.Image), nil
}
