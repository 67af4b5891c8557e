package private

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are taken below the range from which Linux gives out local ports of
// outgoing connections, so that no client sits on a port while its server is
// away for a restart.
const (
	lowPort  = 20000
	highPort = 32000
)

// freePort names a loopback port on which nothing listens. Somebody else may
// take it before it is used: callers check whom they reach, and ask again.
func freePort() (int, error) {
	for range 1000 {
		port := lowPort + rand.IntN(highPort-lowPort)
		l, err := net.Listen("tcp4", address(port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return 0, fmt.Errorf("probe a port: %w", err)
		}
		return port, nil
	}
	return 0, fmt.Errorf("no free loopback port between %d and %d", lowPort, highPort)
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// FreeAddress is a loopback address, host:port, on which nothing listens, for a
// process that will listen there and may have to be restarted.
func FreeAddress() (string, error) {
	port, err := freePort()
	return address(port), err
}
