package stage

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The kernel counts CPU time in /proc/…/stat in ticks of 10 ms.
const jiffy = 10 * time.Millisecond

// stat are the numbers that follow the name in a /proc/…/stat file: the first is
// the state, field 3 of proc(5).
func stat(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	text := string(b)
	return strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
}

// times sums the n times of such a file: user and system, then the same of children
// that have ended.
func times(fields []string, n int) (d time.Duration) {
	const first = 14 - 3
	if len(fields) < first+n {
		return 0 // gone
	}
	for _, f := range fields[first : first+n] {
		n, _ := strconv.ParseInt(f, 10, 64)
		d += time.Duration(n) * jiffy
	}
	return d
}

// CPU is the time that a process has used; 0 when it is gone.
func CPU(pid int) time.Duration {
	return times(stat(fmt.Sprintf("/proc/%d/stat", pid)), 2)
}

// FamilyCPU is the time of a process and all its children, those that have ended
// too.
func FamilyCPU(pid int) time.Duration {
	all := times(stat(fmt.Sprintf("/proc/%d/stat", pid)), 4)
	paths, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is good
	for _, path := range paths {
		if f := stat(path); len(f) > 1 && f[1] == strconv.Itoa(pid) {
			all += times(f, 2)
		}
	}
	return all
}

// MainThreadCPU is the time of a process' first thread, to the nanosecond.
func MainThreadCPU(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/schedstat", pid, pid))
	if err != nil {
		return times(stat(fmt.Sprintf("/proc/%d/task/%d/stat", pid, pid)), 2)
	}
	ns, _, _ := strings.Cut(string(b), " ")
	n, _ := strconv.ParseInt(ns, 10, 64)
	return time.Duration(n)
}

// RSS is the memory that a process holds, in bytes; 0 when it is gone.
func RSS(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// CPU is the time that each process of the stage has used, and the stores'. The
// Postgres of the hall has one stage at a time.
func (s *Stage) CPU() map[string]time.Duration {
	used := map[string]time.Duration{}
	for _, p := range s.procs {
		used[p.Name] += CPU(p.Pid())
	}
	if s.Redis != nil {
		used["redis"] = CPU(s.Redis.Pid())
	}
	if s.Pool != nil {
		used["postgres"] = FamilyCPU(s.Hall.Postgres.Pid())
	}
	return used
}
