package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/khronicle/khronicle/tools/image/internal/oci"
	"github.com/khronicle/khronicle/tools/image/internal/program"
	"github.com/khronicle/khronicle/tools/image/internal/sbom"
)

// product is one image that is made.
type product struct {
	name, description, license string
	// source is the package that is compiled.
	source string
	// built is the file of a program that is compiled elsewhere; {arch} stands for its architecture.
	built string
	ports []string
}

const (
	repository     = "https://github.com/khronicle/khronicle"
	imagePlatforms = "linux/amd64,linux/arm64"
)

var products = []product{
	{
		name: "khronicle", source: "./cmd/khronicle", license: "Apache-2.0", ports: []string{"8080/tcp", "8081/tcp"},
		description: "Kubernetes health checks as durable workflows: worker, starter and report API",
	},
	{
		name: "khcheck", source: "./cmd/khcheck", license: "Apache-2.0",
		description: "The checks that ship with Khronicle",
	},
	{
		name: "temporal", built: "bin/temporal-linux-{arch}", license: "MIT", ports: []string{"7233/tcp", "8233/tcp"},
		description: "Temporal's command line with its server for one process, for small installations of Khronicle",
	},
}

// imageBuild makes the images of one release.
type imageBuild struct {
	release
	// prefix is the registry and the folder in it that the names of images begin with.
	prefix string
	base   oci.Layered
	// programs is a folder for what is compiled.
	programs string
	// digests are the lines of digestsFile.
	digests bytes.Buffer
}

// digestsFile has the digest of each image with all platforms, in the format of sha256sum.
const digestsFile = "DIGESTS"

func images(ctx context.Context, args []string, out, errs io.Writer) error {
	set, parse := flags("images", errs, imagePlatforms)
	only := set.String("only", "", "images to make, with commas between; by default all: "+strings.Join(names(), ", "))
	push := set.String("push", "", "REGISTRY/PREFIX to push the images to; by default they are not pushed")
	prefix := set.String("prefix", "docker.io/khronicle", "what the names of images begin with; -push changes it")
	r, err := parse(args)
	if err != nil {
		return err
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	b := &imageBuild{release: r, prefix: *prefix}
	if *push != "" {
		b.prefix = *push
	}
	return b.run(ctx, chosen, *push != "", out)
}

func names() []string {
	var all []string
	for _, p := range products {
		all = append(all, p.name)
	}
	return all
}

// choose returns the products of a list of names, and all of them for none.
func choose(list string) ([]product, error) {
	if list == "" {
		return products, nil
	}
	var chosen []product
	for one := range strings.SplitSeq(list, ",") {
		i := slices.Index(names(), one)
		if i < 0 {
			return nil, fmt.Errorf("image %q: want one of %s", one, strings.Join(names(), ", "))
		}
		chosen = append(chosen, products[i])
	}
	return chosen, nil
}

func (b *imageBuild) run(ctx context.Context, chosen []product, push bool, out io.Writer) error {
	for _, p := range b.platforms {
		if p.OS != "linux" {
			return fmt.Errorf("platform %s: images are for linux alone", p)
		}
	}
	var err error
	if b.programs, err = os.MkdirTemp("", "image-"); err != nil {
		return fmt.Errorf("create folder for programs: %w", err)
	}
	defer os.RemoveAll(b.programs)
	if err := b.readBase(ctx); err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "IMAGE\tPLATFORM\tCOMPRESSED\tDIGEST")
	for _, p := range chosen {
		if err := b.make(ctx, p, push, table); err != nil {
			return fmt.Errorf("image %s: %w", p.name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(b.out, digestsFile), b.digests.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write digests: %w", err)
	}
	return table.Flush()
}

// readBase makes the layer that all images share.
func (b *imageBuild) readBase(ctx context.Context) error {
	goroot, err := program.GoEnv(ctx, "GOROOT")
	if err != nil {
		return err
	}
	zoneinfo, err := os.ReadFile(filepath.Join(goroot, "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return fmt.Errorf("read the time zones that Go has: %w", err)
	}
	files, err := oci.Base(zoneinfo)
	if err != nil {
		return err
	}
	layer, err := oci.Layer(b.created, files)
	b.base = oci.Layered{Layer: layer, From: "users, certificates, time zones"}
	return err
}

// make writes one image of all platforms, and pushes it if that is wanted.
func (b *imageBuild) make(ctx context.Context, p product, push bool, table io.Writer) error {
	tag, err := name.NewTag(b.prefix + "/" + p.name + ":" + b.version)
	if err != nil {
		return err
	}
	var variants []oci.Variant
	for _, platform := range b.platforms {
		v, err := b.variant(ctx, p, platform)
		if err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		variants = append(variants, v)
	}
	labels, err := labelsOf(variants[0])
	if err != nil {
		return err
	}
	index := oci.Index(labels, variants)
	if err := b.write(p, tag, index, variants); err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Fprintf(&b.digests, "%s  %s\n", digest.Hex, oci.Familiar(tag))
	if err := list(table, tag, digest, variants); err != nil || !push {
		return err
	}
	return oci.Push(ctx, tag, index, variants, sbom.MediaType)
}

func labelsOf(v oci.Variant) (map[string]string, error) {
	config, err := v.Image.ConfigFile()
	if err != nil {
		return nil, err
	}
	return config.Config.Labels, nil
}
