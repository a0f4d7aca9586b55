package dump

import (
	"bytes"
	"errors"
	"net/netip"
)

// The reasons why an address can't be parsed.
var (
	errNoPort   = errors.New("no address and port in their columns")
	errHostname = errors.New("a name instead of a number; take the dump with -n")
)

// endpoint is one side of a socket. The wildcards are the zero Addr and port 0.
type endpoint struct {
	addr netip.Addr
	port uint16
}

func (e endpoint) addrPort() netip.AddrPort { return netip.AddrPortFrom(e.addr, e.port) }

// parseEndpoint parses ADDRESS:PORT in the notations of Windows ("[fe80::1%11]:80"), ss
// ("[fe80::1]%eth0:80", "*:80") and net-tools ("fe80::1:80", ":::*").
func parseEndpoint(field []byte) (endpoint, error) {
	colon := bytes.LastIndexByte(field, ':')
	if colon < 0 {
		if string(field) == "*.*" { // UDP in TCPView
			return endpoint{}, nil
		}
		return endpoint{}, errNoPort
	}
	addr, err := parseAddr(field[:colon])
	if err != nil {
		return endpoint{}, err
	}
	port, err := parsePort(field[colon+1:])
	return endpoint{addr, port}, err
}

func parsePort(field []byte) (uint16, error) {
	if string(field) == "*" {
		return 0, nil
	}
	n, ok := parseNumber(field)
	switch {
	case len(field) == 0:
		return 0, errNoPort
	case !ok:
		return 0, errHostname
	case n > 65535:
		return 0, errors.New("port above 65535")
	}
	return uint16(n), nil
}

// parseAddr parses an address. It drops the zone of an IPv4 address and keeps that of an
// IPv6 address. An IPv4-mapped IPv6 address becomes IPv4, as in connect().
func parseAddr(host []byte) (netip.Addr, error) {
	if len(host) == 0 || string(host) == "*" || string(host) == "::" || string(host) == "0.0.0.0" {
		return netip.Addr{}, nil
	}
	if a, ok := parseIPv4(host); ok {
		return a, nil
	}
	if host[0] == '[' {
		end := bytes.IndexByte(host, ']')
		if end < 0 {
			return netip.Addr{}, errNoPort
		}
		host = append(host[1:end:end], host[end+1:]...)
	}
	a, err := netip.ParseAddr(string(host))
	switch a = a.Unmap(); {
	case err == nil && a.IsUnspecified():
		return netip.Addr{}, nil
	case err == nil:
		return a, nil
	case !bytes.ContainsFunc(host, isHostnameLetter):
		return netip.Addr{}, errNoPort
	}
	return netip.Addr{}, errHostname
}

// isHostnameLetter reports whether r is a letter that does not occur in numeric addresses.
func isHostnameLetter(r rune) bool { return 'g' <= r && r <= 'z' || 'G' <= r && r <= 'Z' }

// parseIPv4 parses a.b.c.d with an optional zone.
func parseIPv4(host []byte) (netip.Addr, bool) {
	var ip [4]byte
	part, digits, value := 0, 0, 0
	for _, b := range host {
		switch {
		case '0' <= b && b <= '9' && digits < 3:
			digits++
			value = value*10 + int(b-'0')
		case b == '.' && digits > 0 && value < 256 && part < 3:
			ip[part] = byte(value)
			part, digits, value = part+1, 0, 0
		case b == '%' && part == 3 && digits > 0 && value < 256:
			ip[3] = byte(value)
			return netip.AddrFrom4(ip), true
		default:
			return netip.Addr{}, false
		}
	}
	if part != 3 || digits == 0 || value > 255 {
		return netip.Addr{}, false
	}
	ip[3] = byte(value)
	return netip.AddrFrom4(ip), true
}

// parseNumber parses a decimal number of at most 10 digits.
func parseNumber(field []byte) (int, bool) {
	n := 0
	for _, b := range field {
		if b < '0' || b > '9' {
			return 0, false
		}
		n = n*10 + int(b-'0')
	}
	return n, len(field) > 0 && len(field) <= 10
}
