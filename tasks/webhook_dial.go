package tasks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// ErrForbidden: a receiver's address is not one of the public internet.
var ErrForbidden = errors.New("not a public address")

// publicDialer connects to public addresses only. It judges the address that is
// really dialled, after every resolution, so a name that changes its mind
// between a check and the connection gains nothing.
func publicDialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout: timeout,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%w: %q", ErrForbidden, address)
			}
			return checkPublic(to.Addr())
		},
	}
}

// checkPublic returns an error that wraps ErrForbidden unless a is a unicast
// address of the public internet that hides no other address in itself.
func checkPublic(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	for _, p := range special {
		if in(p) {
			return fmt.Errorf("%w: %s is in %s", ErrForbidden, a, p)
		}
	}
	if a.Is6() && !in(globalUnicast) {
		return fmt.Errorf("%w: %s", ErrForbidden, a)
	}
	return nil
}

// globalUnicast is all of IPv6 that is given out. What lies outside of it needs
// no list: ::1, fc00::/7, fe80::/10, ff00::/8, 64:ff9b::/96 and its relatives.
var globalUnicast = netip.MustParsePrefix("2000::/3")

// special is what the IANA special-purpose registries take out of IPv4 and of
// globalUnicast, and one address more.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"168.63.129.16/32", // a cloud's platform service on a public number
	"2001::/23",        // protocol assignments, Teredo among them
	"2001:db8::/32", "3fff::/20",
	"2002::/16", // 6to4: an IPv4 address in disguise
)

func prefixes(text ...string) []netip.Prefix {
	ps := make([]netip.Prefix, len(text))
	for i, s := range text {
		ps[i] = netip.MustParsePrefix(s)
	}
	return ps
}
