package api

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// watched is one end of a connection, which the test looks at, and the other end.
func watched(t *testing.T) (c *conn, other net.Conn) {
	t.Helper()
	conns := newConnections(1, nil)
	mine, other := net.Pipe()
	t.Cleanup(func() { _, _ = mine.Close(), other.Close() })
	return conns.admit(mine), other
}

func TestWhatIsOverdueEndsAndTheNextTimeCountsAnew(t *testing.T) {
	c, other := watched(t)
	soon, later := time.Now().Add(time.Millisecond), time.Now().Add(time.Hour)
	must(t, c.SetDeadline(soon))
	ctx := c.within(soon, 0)
	c.conns.look() // too early, or just in time
	for time.Now().Before(soon) {
		time.Sleep(time.Until(soon))
	}
	c.conns.look()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
	<-ctx.Done()
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Error(ctx.Err())
	}
	ctx.release()

	must(t, c.SetDeadline(later))
	next := c.within(later, 0)
	c.conns.look()
	done := make(chan error, 1)
	go func() {
		b := make([]byte, 1)
		_, err := other.Read(b)
		if err == nil {
			_, err = other.Write(b)
		}
		done <- err
	}()
	_, err := c.Write([]byte("x"))
	must(t, err)
	_, err = c.Read(make([]byte, 1))
	must(t, err)
	must(t, <-done)
	must(t, next.Err())
	next.release()
	if again := c.within(later, 0); again != next {
		t.Error("a deadline that nobody has seen end is not used again")
	}
}

func TestAReleasedDeadlineDoesNotEnd(t *testing.T) {
	c, _ := watched(t)
	ctx := c.within(time.Now().Add(-time.Minute), 0)
	ctx.release()
	c.conns.look()
	must(t, ctx.Err())
}
