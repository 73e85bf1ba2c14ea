//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
	"github.com/khronicle/khronicle/tools/kubebox/internal/control"
	"github.com/khronicle/khronicle/tools/kubebox/internal/image"
	"github.com/khronicle/khronicle/tools/kubebox/internal/proc"
)

// Call asks one of the cluster's two control sockets.
func Call(ctx context.Context, c cluster.Cluster, socket, path string, in, out any) error {
	err := control.Call(ctx, socket, path, in, out)
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
		return NotRunning(c)
	}
	return err
}

// LoadImage stores the image in the cluster's images folder and, if the cluster runs, imports it.
// Every start imports what containerd does not have.
func LoadImage(ctx context.Context, c cluster.Cluster, ref string, sources []string) error {
	if err := image.CheckRef(ref); err != nil {
		return err
	}
	files := make([]image.File, len(sources))
	for i, s := range sources {
		f, err := image.ParseFile(s)
		if err != nil {
			return err
		}
		files[i] = f
	}
	name := image.FileName(ref)
	if err := storeImage(c.Path("images", name), ref, files); err != nil {
		return err
	}
	if !proc.Load(c.NodeID()).Alive() {
		return nil
	}
	return Call(ctx, c, c.NodeSocket(), "/import", control.ImportRequest{File: name}, &control.None{})
}

// storeImage replaces the archive in one step: a start meanwhile finds the old one or the new one.
func storeImage(path, ref string, files []image.File) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create images folder: %w", err)
	}
	tmp, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return fmt.Errorf("create image archive: %w", err)
	}
	defer os.Remove(tmp.Name())
	if err := errors.Join(image.Build(tmp, ref, files), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("store image archive: %w", err)
	}
	return nil
}
