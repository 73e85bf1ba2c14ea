//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// disk is a small file system in memory, where the ledger is kept.
type disk struct{ at string }

// newDisk mounts it. What an earlier program that was killed has left there is removed.
func newDisk(at string, megabytes int) (*disk, error) {
	d := &disk{at}
	if err := d.unmount(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(at, 0o755); err != nil {
		return nil, err
	}
	if err := syscall.Mount("khronicle-chaos", at, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=755", megabytes)); err != nil {
		return nil, fmt.Errorf("mount the disk of the ledger at %s (this needs root): %w", at, err)
	}
	return d, nil
}

func (d *disk) ballast() string { return filepath.Join(d.at, "ballast") }

// fill leaves no space.
func (d *disk) fill() error {
	file, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	defer file.Close()
	for piece := make([]byte, 1<<20); len(piece) > 0; {
		n, err := file.Write(piece)
		switch {
		case errors.Is(err, syscall.ENOSPC):
			piece = piece[:min(len(piece)-n, len(piece)/2)]
		case err != nil:
			return fmt.Errorf("fill the disk: %w", err)
		}
	}
	return nil
}

// empty gives the space back.
func (d *disk) empty() error {
	if err := os.Remove(d.ballast()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("empty the disk: %w", err)
	}
	return nil
}

// unmount ends it, and does nothing where it is not there.
func (d *disk) unmount() error {
	for {
		mounted, err := isMounted(d.at)
		if err != nil {
			return err
		}
		if !mounted {
			break
		}
		if err := syscall.Unmount(d.at, syscall.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", d.at, err)
		}
	}
	if err := os.Remove(d.at); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func isMounted(at string) (bool, error) {
	found, err := mountsBelow(at)
	return len(found) > 0, err
}

// mountsBelow returns the mount points at a path and below it.
func mountsBelow(path string) ([]string, error) {
	file, err := os.Open("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var found []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && (fields[1] == path || strings.HasPrefix(fields[1], path+"/")) {
			found = append(found, fields[1])
		}
	}
	return found, lines.Err()
}
