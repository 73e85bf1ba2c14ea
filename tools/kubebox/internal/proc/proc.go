//go:build linux

// Package proc names processes so that a number used again by a stranger is never taken for one of ours.
// A process is its pid, its start time and the boot it was started in; signals go through a pidfd.
package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrGone says that the process does not exist any more.
var ErrGone = errors.New("process is gone")

// ID identifies one process of this machine.
type ID struct {
	PID int `json:"pid"`
	// Start is the start time in clock ticks since boot, field 22 of /proc/PID/stat.
	Start uint64 `json:"start"`
	// Boot is the kernel's boot id.
	Boot string `json:"boot"`
}

// Of returns the identity of the process that has the pid now.
func Of(pid int) (ID, error) {
	_, start, err := stat(pid)
	if err != nil {
		return ID{}, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ID{}, fmt.Errorf("read boot id: %w", err)
	}
	return ID{PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}, nil
}

// State returns the process state letter of /proc/PID/stat, such as S, T (stopped) or Z (zombie).
func State(pid int) (byte, error) {
	state, _, err := stat(pid)
	return state, err
}

func stat(pid int) (state byte, start uint64, err error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, 0, fmt.Errorf("pid %d: %w", pid, ErrGone)
	}
	return parseStat(string(b))
}

// parseStat reads the fields after the command, which is in parentheses and may itself hold spaces and parentheses.
func parseStat(s string) (state byte, start uint64, err error) {
	i := strings.LastIndexByte(s, ')')
	fields := strings.Fields(s[i+1:])
	if i < 0 || len(fields) < 20 {
		return 0, 0, fmt.Errorf("parse process stat %q: too few fields", s)
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("parse process stat: start time: %w", err)
	}
	return fields[0][0], start, nil
}

// Alive reports whether the process exists and is no zombie.
func (id ID) Alive() bool {
	if id.PID <= 0 {
		return false
	}
	now, err := Of(id.PID)
	if err != nil || now != id {
		return false
	}
	state, err := State(id.PID)
	return err == nil && state != 'Z' && state != 'X'
}

// Open returns a pidfd of the process, or ErrGone.
func (id ID) Open() (*os.File, error) {
	if !id.Alive() {
		return nil, ErrGone
	}
	fd, err := unix.PidfdOpen(id.PID, 0)
	if err != nil {
		return nil, fmt.Errorf("open pid %d: %w", id.PID, err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	// The pid may have changed hands before the pidfd was open; it cannot any more.
	if !id.Alive() {
		f.Close()
		return nil, ErrGone
	}
	return f, nil
}

// Signal sends sig to the process, and to no other. A process that has ended is no error.
func (id ID) Signal(sig unix.Signal) error {
	f, err := id.Open()
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.PidfdSendSignal(int(f.Fd()), sig, nil, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal pid %d: %w", id.PID, err)
	}
	return nil
}

// Wait returns true when the process has ended, false if it has not within the limit.
func (id ID) Wait(limit time.Duration) bool {
	deadline := time.Now().Add(limit)
	for id.Alive() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
	return true
}

// Save writes the identity to a file.
func (id ID) Save(path string) error {
	b, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("encode process %d: %w", id.PID, err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Load reads what Save wrote. Without a readable file the result is an identity that is not alive.
func Load(path string) ID {
	var id ID
	b, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(b, &id) != nil {
		return ID{}
	}
	return id
}
