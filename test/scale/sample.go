//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/khronicle/khronicle/test/scale/measure"
)

// sample is what all parts have used up to a moment.
type sample struct {
	at      time.Time
	cpu     map[string]time.Duration
	rss     map[string]int64
	machine measure.MachineStat
	// stored are the bytes of the databases.
	stored map[string]int64
}

// parts are the processes of each part. PostgreSQL has one for each connection.
func (s *stack) parts() map[string][]int {
	parts := map[string][]int{partKubernetes: s.cluster, partPlayer: {os.Getpid()}}
	for part, p := range s.processes {
		parts[part] = []int{p.cmd.Process.Pid}
	}
	return parts
}

func (s *stack) sample(ctx context.Context) (sample, error) {
	taken := sample{at: time.Now(), cpu: map[string]time.Duration{}, rss: map[string]int64{}}
	for part, pids := range s.parts() {
		for _, pid := range pids {
			cpu, rss, err := usage(pid, part == partPostgres)
			if err != nil {
				return taken, fmt.Errorf("%s: %w", part, err)
			}
			taken.cpu[part] += cpu
			taken.rss[part] += rss
		}
	}
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return taken, err
	}
	if taken.machine, err = measure.ParseMachineStat(string(text)); err != nil {
		return taken, err
	}
	taken.stored, err = s.stored(ctx)
	return taken, err
}

// stored are the bytes that Temporal and the ledger have written. A SQLite file grows up to one checkpoint, 4 MB, late.
func (s *stack) stored(ctx context.Context) (map[string]int64, error) {
	inPostgres, files := map[string][]string{}, map[string]string{"temporal": filepath.Join(s.state, "temporal", "temporal.db")}
	switch {
	case s.postgres:
		inPostgres["temporal"], inPostgres["ledger"], files = []string{temporalDatabase, visibilityDatabase}, []string{ledgerDatabase}, nil
	case s.database != nil:
		inPostgres["ledger"] = []string{ledgerDatabase}
	default:
		files["ledger"] = s.ledgerFile()
	}
	stored := map[string]int64{}
	if s.database != nil {
		var err error
		if stored, err = s.database.sizes(ctx, inPostgres); err != nil {
			return nil, err
		}
	}
	for part, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		stored[part] = info.Size()
	}
	return stored, nil
}

// usage returns the CPU time and the resident memory of a process, and with children also theirs. Memory that the
// children share is divided among them.
func usage(pid int, children bool) (cpu time.Duration, rss int64, err error) {
	stat, err := readStat(pid)
	if err != nil {
		return 0, 0, err
	}
	if !children {
		rss, err = size(pid, "status", "VmRSS")
		return stat.Own, rss, err
	}
	cpu = stat.Own + stat.Ended
	rss, err = size(pid, "smaps_rollup", "Pss")
	for _, child := range childrenOf(pid) {
		stat, statErr := readStat(child)
		pss, sizeErr := size(child, "smaps_rollup", "Pss")
		if statErr == nil && sizeErr == nil { // or else it has ended, and is part of Ended from now on
			cpu, rss = cpu+stat.Own, rss+pss
		}
	}
	return cpu, rss, err
}

func readStat(pid int) (measure.ProcessStat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return measure.ProcessStat{}, err
	}
	return measure.ParseProcessStat(string(text))
}

func size(pid int, file, name string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0, err
	}
	return measure.ParseSize(string(text), name)
}

// childrenOf returns the children of a process that are there now.
func childrenOf(parent int) []int {
	folders, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	var children []int
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		if stat, err := readStat(pid); err == nil && stat.Parent == parent {
			children = append(children, pid)
		}
	}
	return children
}
