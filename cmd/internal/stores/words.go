package stores

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// told is an error in words for people. Its causes can be found in it, and are not
// shown.
type told struct {
	words  string
	causes []error
}

// Error implements error.
func (t *told) Error() string { return t.words }

// Unwrap lets errors.Is and errors.As find the causes.
func (t *told) Unwrap() []error { return t.causes }

// tell is an error of this kind, with other causes.
func tell(kind error, words string, causes ...error) error {
	return &told{words, append(causes, kind)}
}

// Words says err to a person: what the network and the clients of the stores tell
// of themselves, wherever it is in err, becomes what has happened.
func Words(err error) string { return reword(err, err.Error()) }

func reword(err error, text string) string {
	if words := plain(err); words != "" {
		return strings.Replace(text, err.Error(), words, 1)
	}
	switch e := err.(type) { //nolint:errorlint // a walk over the tree, a node a call
	case interface{ Unwrap() error }:
		if cause := e.Unwrap(); cause != nil {
			text = reword(cause, text)
		}
	case interface{ Unwrap() []error }:
		for _, cause := range e.Unwrap() {
			text = reword(cause, text)
		}
	}
	return text
}

// plain is what has happened, "" when err has words of its own.
func plain(err error) string {
	switch e := err.(type) { //nolint:errorlint // of this node alone
	case *pgconn.ConnectError: // several lines, one for each address and way to encrypt
		if server := new(pgconn.PgError); errors.As(err, &server) {
			return server.Message
		}
		return network(err)
	case *pgconn.PgError:
		return e.Message
	case *net.OpError, *net.DNSError:
		return network(err)
	case *net.AddrError: // its own text repeats the address
		return e.Err
	}
	if err == context.DeadlineExceeded { //nolint:errorlint // of this node alone
		return noAnswer
	}
	return ""
}

const noAnswer = "no answer in time"

func network(err error) string {
	var (
		name  *net.DNSError
		slow  net.Error
		errno syscall.Errno
	)
	switch {
	case errors.As(err, &name) && strings.HasPrefix(name.Name, "tcp/"):
		return fmt.Sprintf("no port is called %q", strings.TrimPrefix(name.Name, "tcp/"))
	case errors.As(err, &name) && name.IsNotFound:
		return fmt.Sprintf("no host is called %q", name.Name)
	case errors.As(err, &slow) && slow.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return noAnswer
	case errors.As(err, &errno):
		return errno.Error()
	}
	return innermost(err).Error()
}

// innermost is the first cause of err, and of several the first one's.
func innermost(err error) error {
	switch e := err.(type) { //nolint:errorlint // a walk down
	case interface{ Unwrap() error }:
		if cause := e.Unwrap(); cause != nil {
			return innermost(cause)
		}
	case interface{ Unwrap() []error }:
		if causes := e.Unwrap(); len(causes) > 0 {
			return innermost(causes[0])
		}
	}
	return err
}
