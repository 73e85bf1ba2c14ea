package ledger_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/needs"
)

// A full disk refuses records and loses none. When there is room again, the same ledger continues.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		needs.Missing(t, "a small disk needs the right to mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	l := open(t, filepath.Join(dir, "ledger.db"))
	must(t, l.Finish(t.Context(), record("dns", 0, check.Succeeded)))
	file, err := os.Create(ballast)
	must(t, err)
	if _, err := io.Copy(file, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v, want ENOSPC", err)
	}
	must(t, file.Close())
	stored := 1
	for ; ; stored++ {
		if err = l.Finish(t.Context(), record("dns", time.Duration(stored)*time.Minute, check.Succeeded)); err != nil {
			break
		}
	}
	if !strings.Contains(err.Error(), "full") {
		t.Errorf("error is %v, want one that says the disk is full", err)
	}
	if err := l.Ping(t.Context()); err == nil {
		t.Error("the disk is full, but a ping succeeds")
	}
	if f := verify(t, l); f.Records != int64(stored) {
		t.Errorf("%d records, want the %d that were acknowledged", f.Records, stored)
	}
	must(t, os.Remove(ballast))
	must(t, l.Finish(t.Context(), record("dns", time.Duration(stored)*time.Minute, check.Succeeded)))
	must(t, l.Ping(t.Context()))
	if f := verify(t, l); f.Records != int64(stored)+1 {
		t.Errorf("%d records, want %d", f.Records, stored+1)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
