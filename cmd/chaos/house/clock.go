package house

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// jumpSymbol is the variable that scripts/dev/chaos --clock adds to the standard
// library's time.Now: seconds by which a process' clock is off. A Go program asks
// the kernel for the time, not libc, so nothing that is loaded before libc
// (libfaketime) can move its clock.
const jumpSymbol = "time.plusoneJump"

// errNoClock says why clocks can't be moved.
var errNoClock = errors.New("the clock of a Go program can't be moved from outside: build one that can, with scripts/dev/chaos --clock")

// clockOf finds where the program at path keeps how far its clock is off.
func clockOf(path string) (_ uint64, err error) {
	f, err := elf.Open(path)
	if err != nil {
		return 0, fmt.Errorf("%w (%w)", errNoClock, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	symbols, err := f.Symbols()
	if err != nil || f.Type != elf.ET_EXEC {
		return 0, errNoClock
	}
	for _, s := range symbols {
		if s.Name == jumpSymbol {
			return s.Value, nil
		}
	}
	return 0, errNoClock
}

// Jump moves the clock of a process that runs by d from the right time. Timers
// go on: they follow another clock, as they do when a machine's time is set.
func (h *House) Jump(p *Process, d time.Duration) error {
	pid, _ := p.Running()
	if pid == 0 {
		return nil
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	word := binary.NativeEndian.AppendUint64(nil, uint64(int64(d.Seconds())))
	_, err = io.NewOffsetWriter(memory, int64(h.clock)).Write(word)
	return errors.Join(err, memory.Close())
}
