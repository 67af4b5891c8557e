package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// downloaded is where programs lie that an earlier run has downloaded.
func downloaded(dir string) string { return filepath.Join(dir, "postgres-bin", "bin") }

// ErrNotAgreed: Postgres is missing and nobody agreed to a download.
var ErrNotAgreed = errors.New("nobody agreed to download Postgres")

// download asks, fetches Postgres once, and returns the directory of its
// programs.
//
// embedded-postgres downloads as a part of its start: we let it start on a
// scratch cluster and stop. As root that start fails, after the programs have
// been unpacked, which is all we are after.
func download(ctx context.Context, dir string, o Options, reason error) (string, error) {
	if err := agree(o, reason); err != nil {
		return "", err
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp(dir, "postgres-try-")
	if err != nil {
		return "", fmt.Errorf("download Postgres: %w", err)
	}
	root := filepath.Dir(downloaded(dir))
	pg := embedded.NewDatabase(embedded.DefaultConfig().
		Port(port).BinariesPath(root).CachePath(filepath.Join(root, "cache")).
		RuntimePath(filepath.Join(scratch, "run")).DataPath(filepath.Join(scratch, "data")).
		StartTimeout(time.Minute).Logger(io.Discard))
	err = pg.Start()
	if err == nil {
		err = pg.Stop()
	}
	err = errors.Join(err, os.RemoveAll(scratch))
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if _, missing := os.Stat(filepath.Join(downloaded(dir), "initdb")); missing != nil {
		return "", fmt.Errorf("download Postgres (or install it: apt-get install postgresql): %w", errors.Join(err, missing))
	}
	return downloaded(dir), nil
}

// agree asks the person whether to download.
func agree(o Options, reason error) error {
	if o.Yes {
		return nil
	}
	if o.In == nil {
		return fmt.Errorf("%w: %w; install it, or agree with --yes", ErrNotAgreed, reason)
	}
	if _, err := fmt.Fprintf(o.Out, "%v.\nDownload about 15 MB of Postgres programs into the data directory instead? [y/N] ", reason); err != nil {
		return err
	}
	answer, err := bufio.NewReader(o.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	default:
		return fmt.Errorf("%w: %w", ErrNotAgreed, reason)
	}
}

func freePort() (uint32, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return uint32(port), l.Close()
}
