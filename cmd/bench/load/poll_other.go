//go:build !linux

package load

import (
	"errors"
	"time"
)

var errLinux = errors.New("the load generator needs Linux")

type poll struct{}

func newPoll() (*poll, error)                           { return nil, errLinux }
func (*poll) add(int, int) error                        { return errLinux }
func (*poll) wait(time.Duration, func(int) error) error { return errLinux }
func (*poll) close() error                              { return nil }
func read(int, []byte) (int, error)                     { return 0, errLinux }
func write(int, []byte) (int, error)                    { return 0, errLinux }
