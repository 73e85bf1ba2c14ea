// Command image makes what a release consists of, from the sources of this repository and without Docker:
//
//	image images    container images as OCI layouts and archives, and pushes them (make image)
//	image binaries  archives of the programs for Linux, macOS and Windows (make release-binaries)
//
// Equal sources, an equal version and an equal Go make equal bytes. `image images -h` lists the flags.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/khronicle/khronicle/tools/image/internal/program"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"images": images, "binaries": binaries,
	}
	if len(args) > 0 {
		if command := commands[args[0]]; command != nil {
			return command(ctx, args[1:], out, errs)
		}
	}
	return fmt.Errorf("want the command images or binaries, then its flags")
}

// release is what all parts of a release have in common.
type release struct {
	root, out, version, revision string
	platforms                    []program.Platform
	created                      time.Time
}

// A version is a tag of an image, too.
var versionFormat = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

// flags registers the flags that all commands have. The function that it returns reads their values.
func flags(name string, errs io.Writer, platforms string) (*flag.FlagSet, func([]string) (release, error)) {
	set := flag.NewFlagSet("image "+name, flag.ContinueOnError)
	set.SetOutput(errs)
	root := set.String("root", "../..", "folder of the repository")
	out := set.String("out", "", "folder for the results; its old results are replaced")
	version := set.String("version", "", "version, which is the tag of images too")
	revision := set.String("revision", "", "commit that the sources are of")
	created := set.String("created", os.Getenv("SOURCE_DATE_EPOCH"), "time of the commit in seconds since 1970; by default $SOURCE_DATE_EPOCH")
	platform := set.String("platform", platforms, "platforms, with commas between")
	return set, func(args []string) (release, error) {
		if err := set.Parse(args); err != nil {
			return release{}, err
		}
		if set.NArg() > 0 {
			return release{}, fmt.Errorf("%q is no flag", set.Arg(0))
		}
		r := release{root: *root, out: *out, version: *version, revision: *revision}
		return r, r.complete(*created, *platform)
	}
}

func (r *release) complete(created, platforms string) error {
	for _, flag := range [][2]string{{"out", r.out}, {"version", r.version}, {"revision", r.revision}, {"created", created}} {
		if flag[1] == "" {
			return fmt.Errorf("flag -%s is missing", flag[0])
		}
	}
	if !versionFormat.MatchString(r.version) {
		return fmt.Errorf("version %q: want at most 128 letters, digits, '.', '_' and '-', as in the tag of an image", r.version)
	}
	seconds, err := strconv.ParseInt(created, 10, 64)
	if err != nil || seconds < 0 {
		return fmt.Errorf("created %q: want seconds since 1970", created)
	}
	r.created = time.Unix(seconds, 0).UTC()
	r.platforms, err = program.ParsePlatforms(platforms)
	return err
}
