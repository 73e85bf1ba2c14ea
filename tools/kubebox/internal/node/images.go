//go:build linux

package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
	"github.com/khronicle/khronicle/tools/kubebox/internal/control"
)

// importer puts the archives of the cluster's images folder into containerd. It remembers which
// version of an archive containerd has, in a file that lives and dies with containerd's own data.
type importer struct {
	cluster  cluster.Cluster
	children *children
	ctr      string
	mu       sync.Mutex
}

// all imports every archive that containerd does not have yet.
func (i *importer) all(ctx context.Context) error {
	archives, err := filepath.Glob(i.cluster.Path("images", "*.tar"))
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	for _, archive := range archives {
		if err := i.one(ctx, archive); err != nil {
			return err
		}
	}
	return nil
}

// load imports one archive on request.
func (i *importer) load(ctx context.Context, r control.ImportRequest) (control.None, error) {
	if !filepath.IsLocal(r.File) || filepath.Base(r.File) != r.File {
		return control.None{}, fmt.Errorf("import image: %q is no file name", r.File)
	}
	return control.None{}, i.one(ctx, i.cluster.Path("images", r.File))
}

func (i *importer) one(ctx context.Context, archive string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	info, err := os.Stat(archive)
	if err != nil {
		return fmt.Errorf("import image: %w", err)
	}
	stamp := fmt.Sprintf("%d %d\n", info.Size(), info.ModTime().UnixNano())
	stampFile := i.cluster.Path("containerd", "imported", filepath.Base(archive))
	if old, err := os.ReadFile(stampFile); err == nil && string(old) == stamp {
		return nil
	}
	log := i.cluster.Log("images")
	if err := i.children.run(ctx, log, i.ctr, "--address", cluster.Socket, "--namespace", "k8s.io", "images", "import", archive); err != nil {
		return fmt.Errorf("import image %s: %w", filepath.Base(archive), err)
	}
	if err := os.MkdirAll(filepath.Dir(stampFile), 0o755); err != nil {
		return fmt.Errorf("remember image: %w", err)
	}
	if err := os.WriteFile(stampFile, []byte(stamp), 0o644); err != nil {
		return fmt.Errorf("remember image: %w", err)
	}
	return nil
}
