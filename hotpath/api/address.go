package api

import (
	"bytes"
	"net/netip"

	"github.com/valyala/fasthttp"
)

// clientOf is the address that a request comes from: its connection's, unless
// that is a trusted proxy's. Then it is the last one in X-Forwarded-For (or
// Forwarded, RFC 7239) that is no trusted proxy's itself: each proxy appends whom
// it has seen, and what stands before is the client's word. A list that cannot be
// read, or two headers that differ, say nothing: the proxy's own address counts.
func (id *Identity) clientOf(h *fasthttp.RequestHeader, peer netip.Addr) netip.Addr {
	if !id.trusts(peer) {
		return peer
	}
	lines := h.PeekAll("X-Forwarded-For")
	older, ok := id.lastUntrusted(lines, peer, parseHop)
	hasOlder := len(lines) > 0 // the next PeekAll takes its memory
	lines = h.PeekAll("Forwarded")
	standard, okStandard := id.lastUntrusted(lines, peer, parseForwarded)
	switch {
	case !hasOlder && okStandard:
		return standard
	case len(lines) == 0 && ok, ok && okStandard && older == standard:
		return older
	}
	return peer
}

// lastUntrusted walks a list of addresses from its end. Several lines of a header
// are one list.
func (id *Identity) lastUntrusted(lines [][]byte, peer netip.Addr, parse func([]byte) (netip.Addr, bool)) (netip.Addr, bool) {
	from := peer
	for i := len(lines) - 1; i >= 0; i-- {
		for rest := lines[i]; rest != nil; {
			var hop []byte
			if comma := bytes.LastIndexByte(rest, ','); comma >= 0 {
				hop, rest = rest[comma+1:], rest[:comma]
			} else {
				hop, rest = rest, nil
			}
			a, ok := parse(bytes.TrimSpace(hop))
			if !ok {
				return netip.Addr{}, false
			}
			if from = a; !id.trusts(a) {
				return a, true
			}
		}
	}
	return from, true
}

// parseHop reads an address with or without a port.
func parseHop(b []byte) (netip.Addr, bool) {
	s := string(b)
	if p, err := netip.ParseAddrPort(s); err == nil {
		return p.Addr().Unmap().WithZone(""), true
	}
	if n := len(s); n > 2 && s[0] == '[' && s[n-1] == ']' {
		s = s[1 : n-1]
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap().WithZone(""), err == nil
}

// parseForwarded reads the for= of one element of Forwarded.
func parseForwarded(element []byte) (netip.Addr, bool) {
	for pair := range bytes.SplitSeq(element, []byte(";")) {
		name, value, _ := bytes.Cut(bytes.TrimSpace(pair), []byte("="))
		if bytes.EqualFold(name, []byte("for")) {
			return parseHop(bytes.Trim(value, `"`))
		}
	}
	return netip.Addr{}, false
}
