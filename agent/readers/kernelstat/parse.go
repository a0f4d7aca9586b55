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
	// ErrAbsent: the file is well-formed and does not have the figure; kernels differ.
	ErrAbsent = errors.New("not in this kernel's file")
	// ErrMalformed: the file is not what the kernel writes.
	ErrMalformed = errors.New("malformed")
)

// ParseSockstat takes a figure out of /proc/net/sockstat or sockstat6, which have
// lines such as "TCP: inuse 5 orphan 0 tw 2 alloc 9 mem 1"
// (net/ipv4/proc.c, sockstat_seq_show): Sockstat(file, "TCP", "tw") is 2.
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

// ParseNetstat takes a counter out of /proc/net/netstat or /proc/net/snmp, in which a
// line of names is followed by a line of values, both starting with the group
// (net/ipv4/proc.c): Netstat(file, "TcpExt", "ListenDrops").
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

// parseColumn is the value under name.
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

// ConntrackDrops are the packets and entries that conntrack lost since boot,
// over all CPUs.
type ConntrackDrops struct {
	// InsertFailed: no entry could be made, because no port was left to
	// translate to or another packet was faster.
	InsertFailed uint64
	// Drop: packets dropped because of it, or because the table was full.
	Drop uint64
	// EarlyDrop: entries removed before their time to make room.
	EarlyDrop uint64
}

// ParseConntrackStat adds up /proc/net/stat/nf_conntrack: a line of column
// names, which kernels change, then one line of hexadecimal numbers for each CPU
// (net/netfilter/nf_conntrack_standalone.c, ct_cpu_seq_show).
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
		return ConntrackDrops{}, fmt.Errorf("%w: no CPU", ErrMalformed)
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

// ParseNumbers reads exactly n decimal numbers, as a sysctl file with a vector has them.
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
