package load

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// conn is one connection with at most one request in flight.
type conn struct {
	fd      int
	request []byte
	left    []byte // of request, not written yet
	answer  []byte // what has come of an answer that takes several reads
	busy    bool
	from    int64 // ns since the load began: what latency counts from
}

func dial(addr string) (int, error) {
	where, err := netip.ParseAddrPort(addr)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return 0, err
	}
	to := &unix.SockaddrInet4{Port: int(where.Port()), Addr: where.Addr().As4()}
	if err := errors.Join(unix.Connect(fd, to), unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), unix.SetNonblock(fd, true)); err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// send begins to write the request.
func (c *conn) send() error {
	c.busy = true
	c.left = c.request
	return c.push()
}

// push writes what is left of the request. A full socket is rare, and only bulk
// requests meet it: what is left goes when the server has read some.
func (c *conn) push() error {
	for len(c.left) > 0 {
		n, err := write(c.fd, c.left)
		if errors.Is(err, unix.EAGAIN) {
			if err := c.writable(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("load: write: %w", err)
		}
		c.left = c.left[n:]
	}
	return nil
}

// writable waits until the socket takes more.
func (c *conn) writable() error {
	_, err := unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLOUT}}, 1000)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("load: write: %w", err)
	}
	return nil
}

// receive reads what has come, by way of room. It returns a whole answer, which
// is valid until the next receive with that room, or nil when more must come.
func (c *conn) receive(room []byte) ([]byte, error) {
	n, err := read(c.fd, room)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("load: read: %w", err)
	case n == 0:
		return nil, fmt.Errorf("load: the server closed a connection: %w", net.ErrClosed)
	}
	got := room[:n]
	if len(c.answer) > 0 {
		c.answer = append(c.answer, got...)
		got = c.answer
	}
	size, err := whole(got)
	switch {
	case err != nil:
		return nil, err
	case size == 0 || size > len(got):
		if len(c.answer) == 0 {
			c.answer = append(c.answer, got...)
		}
		return nil, nil
	case size < len(got):
		return nil, fmt.Errorf("load: %d bytes behind an answer", len(got)-size)
	}
	c.answer = c.answer[:0]
	return got, nil
}

var (
	headEnd  = []byte("\r\n\r\n")
	lengthIs = []byte("Content-Length: ")
)

// whole is the size of the answer that b begins with, 0 while its head is not
// complete.
func whole(b []byte) (int, error) {
	head := bytes.Index(b, headEnd)
	if head < 0 {
		return 0, nil
	}
	at := bytes.Index(b[:head], lengthIs)
	if at < 0 {
		return 0, fmt.Errorf("load: an answer without length: %q", b[:head])
	}
	n := 0
	for _, digit := range b[at+len(lengthIs) : head] {
		if digit < '0' || digit > '9' {
			break
		}
		n = 10*n + int(digit-'0')
	}
	return head + len(headEnd) + n, nil
}

// status is the code of an answer; 0 if that can't be read.
func status(answer []byte) int {
	if len(answer) < len("HTTP/1.1 200") {
		return 0
	}
	code, _ := strconv.Atoi(string(answer[9:12]))
	return code
}
