package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"plusone/cmd/bench/load"
	"plusone/scripts/dev/private"
)

// Drive is a load that runs in a process of its own.
type Drive struct {
	*load.Remote
	Plan load.Plan

	proc   *private.Process
	orders *os.File
	used   chan map[string]time.Duration // one value: the processes' CPU in the measured time
}

// Drive starts a load.
func (s *Stage) Drive(p load.Plan) (*Drive, error) {
	plan, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(s.Hall.Self, "load", string(plan))
	cmd.Env, cmd.Stderr = cleanEnv(), os.Stderr
	in, orders, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	heard, out, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, in.Close(), orders.Close())
	}
	cmd.Stdin, cmd.Stdout = in, out
	d := &Drive{Plan: p, orders: orders, used: make(chan map[string]time.Duration, 1)}
	d.proc, err = private.Spawn(cmd)
	if err := errors.Join(err, in.Close(), out.Close()); err != nil {
		return nil, errors.Join(err, heard.Close(), orders.Close())
	}
	d.Remote = load.Listen(heard)
	go func() {
		d.used <- s.measure(d)
		<-d.Done
		_ = heard.Close() // all of it has been read
	}()
	return d, nil
}

// measure is the CPU time of each process between both ends of the measured time.
func (s *Stage) measure(d *Drive) map[string]time.Duration {
	<-d.Begin
	before := s.CPU()
	<-d.End
	used := s.CPU()
	for name := range used {
		used[name] -= before[name]
	}
	return used
}

// Hold lets the load send nothing more, or go on.
func (d *Drive) Hold(yes bool) error {
	order := "go\n"
	if yes {
		order = "hold\n"
	}
	_, err := io.WriteString(d.orders, order)
	return err
}

// Wait returns what the load tells at its end, and the CPU time of every process
// in the measured time, the load's own too.
func (d *Drive) Wait(ctx context.Context) (load.Result, map[string]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Plan.Room())
	defer cancel()
	var late error
	select {
	case <-d.Done:
	case <-ctx.Done():
		late = fmt.Errorf("the load did not end: %w", ctx.Err())
		d.proc.Kill()
		<-d.Done
	}
	ended := d.proc.Stop(ctx, syscall.SIGTERM)
	used := <-d.used
	res, err := d.Result()
	if err := errors.Join(late, ended, err, d.orders.Close()); err != nil {
		return res, used, err
	}
	used["load"] = res.CPU
	return res, used, nil
}
