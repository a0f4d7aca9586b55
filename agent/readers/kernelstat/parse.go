package kernelstat

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Errors of the parsers.
var (
	// ErrAbsent means that a well-formed file lacks the figure. Kernels differ.
	ErrAbsent = errors.New("the kernel does not report it")
	// ErrMalformed means that the file is not in the kernel's format.
	ErrMalformed = errors.New("malformed")
)

// ParseSockstat returns a figure of /proc/net/sockstat or sockstat6, which have lines such
// as "TCP: inuse 5 orphan 0 tw 2 alloc 9 mem 1" (net/ipv4/proc.c, sockstat_seq_show). In
// this example ParseSockstat(file, "TCP", "tw") is 2.
func ParseSockstat(file []byte, protocol, name string) (uint64, error) {
	for line := range bytes.Lines(file) {
		group, rest, _ := bytes.Cut(line, []byte(":"))
		if string(group) != protocol {
			continue
		}
		fields := bytes.Fields(rest)
		for i := 0; i+1 < len(fields); i += 2 {
			if string(fields[i]) == name {
				return parseNumber(fields[i+1], 10)
			}
		}
	}
	return 0, fmt.Errorf("%s %s: %w", protocol, name, ErrAbsent)
}

// SocketCount is the number of sockets of a network namespace.
type SocketCount struct {
	// TCP includes TIME_WAIT, but not sockets that are only bound.
	TCP uint64
	UDP uint64
}

// CountSockets adds up the sockets in /proc/net/sockstat and sockstat6. v6 is nil if the kernel
// has no IPv6.
func CountSockets(v4, v6 []byte) (SocketCount, error) {
	var c SocketCount
	var errs []error
	add := func(to *uint64, file []byte, protocol, name string) {
		n, err := ParseSockstat(file, protocol, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("sockstat: %w", err))
		}
		*to += n
	}
	add(&c.TCP, v4, "TCP", "inuse")
	add(&c.TCP, v4, "TCP", "tw") // of both families
	add(&c.UDP, v4, "UDP", "inuse")
	if v6 != nil {
		add(&c.TCP, v6, "TCP6", "inuse")
		add(&c.UDP, v6, "UDP6", "inuse")
	}
	return c, errors.Join(errs...)
}

// ParseNetstat returns a counter of /proc/net/netstat or /proc/net/snmp, for example
// "ListenDrops" of the group "TcpExt". In these files a line of names is followed by a
// line of values, both starting with the group (net/ipv4/proc.c).
func ParseNetstat(file []byte, group, name string) (uint64, error) {
	var names []byte
	for line := range bytes.Lines(file) {
		prefix, rest, ok := bytes.Cut(line, []byte(":"))
		switch {
		case !ok || string(prefix) != group:
			names = nil
		case names == nil:
			names = rest
		default:
			return parseColumn(names, rest, name)
		}
	}
	return 0, fmt.Errorf("%s %s: %w", group, name, ErrAbsent)
}

// parseColumn returns the value below name.
func parseColumn(names, values []byte, name string) (uint64, error) {
	n, v := bytes.Fields(names), bytes.Fields(values)
	if len(n) != len(v) {
		return 0, fmt.Errorf("%w: %d names, %d values", ErrMalformed, len(n), len(v))
	}
	for i := range n {
		if string(n[i]) == name {
			return parseNumber(v[i], 10)
		}
	}
	return 0, fmt.Errorf("%s: %w", name, ErrAbsent)
}

// ConntrackDrops has the packets and entries that conntrack lost since boot, over all
// CPUs.
type ConntrackDrops struct {
	// InsertFailed counts entries that could not be added, because no port was left to
	// translate to or another packet was faster.
	InsertFailed uint64
	// Drop counts packets dropped for that reason, or because the table was full.
	Drop uint64
	// EarlyDrop counts entries removed before their timeout to make room for others.
	EarlyDrop uint64
}

// ParseConntrackStat returns the sums over all CPUs of /proc/net/stat/nf_conntrack. The
// file has a line of column names, which differ between kernels, and then one line of
// hexadecimal numbers for each CPU (net/netfilter/nf_conntrack_standalone.c,
// ct_cpu_seq_show).
func ParseConntrackStat(file []byte) (ConntrackDrops, error) {
	header, rest, _ := bytes.Cut(file, []byte("\n"))
	names := strings.Fields(string(header))
	var sums [3]uint64
	var at [3]int
	for i, name := range [3]string{"insert_failed", "drop", "early_drop"} {
		column := slices.Index(names, name)
		if column < 0 {
			return ConntrackDrops{}, fmt.Errorf("%s: %w", name, ErrAbsent)
		}
		at[i] = column
	}
	if len(rest) == 0 {
		return ConntrackDrops{}, fmt.Errorf("%w: no line for a CPU", ErrMalformed)
	}
	for line := range bytes.Lines(rest) {
		values := bytes.Fields(line)
		if len(values) != len(names) {
			return ConntrackDrops{}, fmt.Errorf("%w: %d names, %d values", ErrMalformed, len(names), len(values))
		}
		for i, column := range at {
			n, err := parseNumber(values[column], 16)
			if err != nil {
				return ConntrackDrops{}, err
			}
			sums[i] += n
		}
	}
	return ConntrackDrops{InsertFailed: sums[0], Drop: sums[1], EarlyDrop: sums[2]}, nil
}

// ParseNeighbourStat returns the entries and overflows of /proc/net/stat/arp_cache or
// ndisc_cache. The file has a line of column names and then one line of hexadecimal numbers
// for each CPU, of which the first column is the same in each (net/core/neighbour.c,
// neigh_stat_seq_show). Max is not in it.
func ParseNeighbourStat(file []byte) (Neighbours, error) {
	header, rest, _ := bytes.Cut(file, []byte("\n"))
	names := strings.Fields(string(header))
	entries, fulls := slices.Index(names, "entries"), slices.Index(names, "table_fulls")
	if entries < 0 || fulls < 0 {
		return Neighbours{}, fmt.Errorf("entries or table_fulls: %w", ErrAbsent)
	}
	if len(rest) == 0 {
		return Neighbours{}, fmt.Errorf("%w: no line for a CPU", ErrMalformed)
	}
	var out Neighbours
	for line := range bytes.Lines(rest) {
		values := bytes.Fields(line)
		if len(values) != len(names) {
			return Neighbours{}, fmt.Errorf("%w: %d names, %d values", ErrMalformed, len(names), len(values))
		}
		count, err1 := parseNumber(values[entries], 16)
		overflows, err2 := parseNumber(values[fulls], 16)
		if err := errors.Join(err1, err2); err != nil {
			return Neighbours{}, err
		}
		out.Entries = count
		out.Overflows += overflows
	}
	return out, nil
}

// ParseNumbers parses exactly n decimal numbers, for example of a sysctl file with several
// values.
func ParseNumbers(file []byte, n int) ([]uint64, error) {
	fields := bytes.Fields(file)
	if len(fields) != n {
		return nil, fmt.Errorf("%w: %d numbers, want %d", ErrMalformed, len(fields), n)
	}
	out := make([]uint64, n)
	for i, f := range fields {
		var err error
		if out[i], err = parseNumber(f, 10); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func parseNumber(b []byte, base int) (uint64, error) {
	n, err := strconv.ParseUint(string(b), base, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: number %.40q", ErrMalformed, b)
	}
	return n, nil
}
