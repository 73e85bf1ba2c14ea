//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/khronicle/khronicle/internal/needs"
)

func TestDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		needs.Missing(t, "only root may mount")
	}
	at := filepath.Join(t.TempDir(), "store")
	d, err := newDisk(at, 4)
	if errors.Is(err, syscall.EPERM) {
		needs.Missing(t, "a small disk needs the right to mount: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.unmount(); err != nil {
			t.Error(err)
		}
	})
	write := func() error { return os.WriteFile(filepath.Join(at, "file"), []byte("a few bytes"), 0o600) }
	if err := write(); err != nil {
		t.Fatal(err)
	}
	if err := d.fill(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, "second"), []byte("a few bytes"), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk: %v, want no space", err)
	}
	if err := d.empty(); err != nil {
		t.Fatal(err)
	}
	if err := write(); err != nil {
		t.Errorf("an emptied disk: %v", err)
	}
	if again, err := newDisk(at, 4); err != nil { // a program that was killed left one
		t.Error(err)
	} else if found, err := mountsBelow(at); len(found) != 1 || err != nil {
		t.Errorf("mounts %v, error %v, want one", found, err)
	} else if err := again.unmount(); err != nil {
		t.Error(err)
	}
	if found, err := mountsBelow(at); len(found) != 0 || err != nil {
		t.Errorf("mounts %v are left, error %v", found, err)
	}
}
