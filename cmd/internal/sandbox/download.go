package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// downloaded is where programs lie that an earlier run has downloaded.
func downloaded(dir string) string { return filepath.Join(dir, "postgres-bin", "bin") }

// ErrNotAgreed: Postgres is missing and nobody agreed to a download.
var ErrNotAgreed = errors.New("nobody agreed to download Postgres")

// download asks, fetches Postgres once, and returns the directory of its
// programs.
//
// embedded-postgres downloads as a part of starting a server of its own, which
// would outlive us if we were killed. So it is given an encoding that does not
// exist: it unpacks the programs, which is all that we are after, and fails.
func download(dir string, o Options, reason error) (string, error) {
	if err := agree(o, reason); err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp(dir, "postgres-try-")
	if err != nil {
		return "", fmt.Errorf("download Postgres: %w", err)
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	root := filepath.Dir(downloaded(dir))
	config := embedded.DefaultConfig().Port(port).Encoding("none").
		BinariesPath(root).CachePath(filepath.Join(root, "cache")).
		RuntimePath(filepath.Join(scratch, "run")).DataPath(filepath.Join(scratch, "data")).
		Logger(io.Discard)
	if o.Mirror != "" {
		config = config.BinaryRepositoryURL(o.Mirror)
	}
	err = errors.Join(embedded.NewDatabase(config).Start(), os.RemoveAll(scratch))
	for _, program := range []string{"initdb", "postgres"} {
		if _, missing := os.Stat(filepath.Join(downloaded(dir), program)); missing != nil {
			return "", fmt.Errorf("download Postgres (or install it: apt-get install postgresql): %w", errors.Join(err, missing))
		}
	}
	return downloaded(dir), nil
}

// agree asks the person whether to download. Root is not asked: Postgres runs as
// somebody else then, who could not reach the programs.
func agree(o Options, reason error) error {
	if o.Root {
		return fmt.Errorf("%w: %w; as root, install it", ErrNotAgreed, reason)
	}
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
