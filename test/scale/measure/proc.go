package measure

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc: 1/USER_HZ, which is the same on all Linux.
const clockTick = 10 * time.Millisecond

// ProcessStat is what /proc/PID/stat says of a process.
type ProcessStat struct {
	Parent int
	// Own is its CPU time, and Ended that of its children that ended and were waited for.
	Own, Ended time.Duration
}

// ParseProcessStat reads /proc/PID/stat: pid (name) state parent …, where the name may hold anything.
func ParseProcessStat(text string) (ProcessStat, error) {
	var numbers [5]int64
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	for i, at := range []int{1, 11, 12, 13, 14} { // parent, utime, stime, cutime, cstime
		if at >= len(fields) {
			return ProcessStat{}, fmt.Errorf("read /proc/PID/stat: %d fields after the name", len(fields))
		}
		var err error
		if numbers[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return ProcessStat{}, fmt.Errorf("read /proc/PID/stat: %w", err)
		}
	}
	return ProcessStat{
		Parent: int(numbers[0]),
		Own:    time.Duration(numbers[1]+numbers[2]) * clockTick,
		Ended:  time.Duration(numbers[3]+numbers[4]) * clockTick,
	}, nil
}

// MachineStat is the CPU time of all cores since the machine was started.
type MachineStat struct{ Busy, Idle time.Duration }

// ParseMachineStat reads the first line of /proc/stat: cpu user nice system idle iowait irq softirq steal guest ….
// The time of guests is in that of user and nice already.
func ParseMachineStat(text string) (MachineStat, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return MachineStat{}, fmt.Errorf("read /proc/stat: first line is %q", line)
	}
	var m MachineStat
	for i, field := range fields[1:9] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return MachineStat{}, fmt.Errorf("read /proc/stat: %w", err)
		}
		if i == 3 || i == 4 { // idle and waiting for a disk
			m.Idle += time.Duration(n) * clockTick
		} else {
			m.Busy += time.Duration(n) * clockTick
		}
	}
	return m, nil
}

// IdleShare is the share of the machine that was idle between two readings, from 0 to 1.
func IdleShare(before, after MachineStat) float64 {
	idle, busy := after.Idle-before.Idle, after.Busy-before.Busy
	if idle+busy <= 0 {
		return 0
	}
	return idle.Seconds() / (idle + busy).Seconds()
}

// ParseSize reads a line "Name:   123 kB" of /proc/PID/status or /proc/PID/smaps_rollup, in bytes.
func ParseSize(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, name+":")
		if !found {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read %s of a process: %w", name, err)
		}
		return n << 10, nil
	}
	return 0, fmt.Errorf("read %s of a process: no such line", name)
}
