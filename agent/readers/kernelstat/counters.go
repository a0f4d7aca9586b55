package kernelstat

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"portreeve.io/portreeve/agent/socket"
)

// Counters has the counters of the reading process's network namespace, and some of the
// whole machine. Counters that could not be read are nil. The files need no privilege,
// but only a process in the node's network namespace (hostNetwork) gets the node's
// figures; other processes get those of their own pod.
type Counters struct {
	// Conntrack has the namespace's entries, and the limit for each namespace. Files
	// /proc/sys/net/netfilter/nf_conntrack_{count,max}.
	Conntrack *Conntrack
	// ConntrackDrops are the namespace's drops. File /proc/net/stat/nf_conntrack.
	ConntrackDrops *ConntrackDrops

	// TimeWaitOverflow counts the namespace's sockets that skipped TIME_WAIT because
	// net.ipv4.tcp_max_tw_buckets was reached, since the namespace was created. File
	// /proc/net/netstat, as for the next two.
	TimeWaitOverflow *uint64
	// ListenOverflows counts connections refused because of a full accept queue,
	// ListenDrops those refused for any reason.
	ListenOverflows, ListenDrops *uint64

	// Orphans is the machine's number of TCP sockets without a process. File
	// /proc/net/sockstat, as for the next.
	Orphans *uint64
	// TCPMemory is the number of pages used by all TCP buffers of the machine.
	TCPMemory *uint64
	// TCPMemoryLimits is net.ipv4.tcp_mem in pages: below the first TCP is not under
	// memory pressure, above the second it is, and above the third it gets no more.
	// Only the initial network namespace has it, as well as MaxOrphans
	// (net.ipv4.tcp_max_orphans).
	TCPMemoryLimits *[3]uint64
	MaxOrphans      *uint64

	// OpenFiles and MaxFiles are the number of the machine's open file descriptions and
	// its limit (fs.file-max). File /proc/sys/fs/file-nr.
	OpenFiles, MaxFiles *uint64

	// Neighbours are the machine's neighbour tables of IPv4 and IPv6. Only the initial network
	// namespace shows them. Files /proc/net/stat/arp_cache and ndisc_cache, and
	// /proc/sys/net/ipv4 and ipv6/neigh/default/gc_thresh3.
	Neighbours [2]*Neighbours
}

// Neighbours is the usage of a neighbour table.
type Neighbours struct {
	Entries, Max uint64
	// Overflows counts attempts to add an entry that failed since boot.
	Overflows uint64
}

// Conntrack is the usage of the connection tracking table.
type Conntrack struct{ Entries, Max uint64 }

// Read reads the counters from the procfs at proc, and returns the ones that it could not
// read with the reasons.
func Read(proc string) (Counters, []socket.Unobserved) {
	r := procReader{proc: proc, files: map[string][]byte{}}
	var c Counters
	if count, limit := r.readSysctl("net/netfilter/nf_conntrack_count", "conntrack entries"),
		r.readSysctl("net/netfilter/nf_conntrack_max", "conntrack limit"); count != nil && limit != nil {
		c.Conntrack = &Conntrack{Entries: *count, Max: *limit}
	}
	c.ConntrackDrops = parseFile(&r, "self/net/stat/nf_conntrack", "conntrack drops", ParseConntrackStat)

	c.TimeWaitOverflow = r.readNetstat("TCPTimeWaitOverflow")
	c.ListenOverflows = r.readNetstat("ListenOverflows")
	c.ListenDrops = r.readNetstat("ListenDrops")

	c.Orphans = r.readSockstat("orphan", "TCP orphans")
	c.TCPMemory = r.readSockstat("mem", "TCP memory")
	c.MaxOrphans = r.readSysctl("net/ipv4/tcp_max_orphans", "TCP orphan limit")
	c.TCPMemoryLimits = parseFile(&r, "sys/net/ipv4/tcp_mem", "TCP memory limits", func(b []byte) ([3]uint64, error) {
		n, err := ParseNumbers(b, 3)
		if err != nil {
			return [3]uint64{}, err
		}
		return [3]uint64(n), nil
	})
	// "allocated free max"; free is always 0 (Documentation/admin-guide/sysctl/fs.rst).
	n := parseFile(&r, "sys/fs/file-nr", "open files", func(b []byte) ([]uint64, error) { return ParseNumbers(b, 3) })
	if n != nil {
		c.OpenFiles, c.MaxFiles = &(*n)[0], &(*n)[2]
	}
	for i, names := range [2][2]string{{"arp_cache", "ipv4"}, {"ndisc_cache", "ipv6"}} {
		c.Neighbours[i] = r.readNeighbours(names[0], names[1])
	}
	return c, r.unobserved
}

// readNeighbours returns nil if the table is not shown here, or IPv6 is off; neither is reported
// as unobserved.
func (r *procReader) readNeighbours(table, family string) *Neighbours {
	item, file := "neighbours of "+family, "net/"+family+"/neigh/default/gc_thresh3"
	if _, err := os.Stat(filepath.Join(r.proc, "sys", file)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	limit := r.readSysctl(file, item)
	if limit == nil {
		return nil
	}
	n := parseFile(r, "self/net/stat/"+table, item, ParseNeighbourStat)
	if n != nil {
		n.Max = *limit
	}
	return n
}

// procReader reads files of one procfs, each once.
type procReader struct {
	proc       string
	files      map[string][]byte
	unobserved []socket.Unobserved
}

func (r *procReader) readFile(path string) ([]byte, error) {
	if b, ok := r.files[path]; ok {
		return b, nil
	}
	b, err := os.ReadFile(path)
	if err == nil {
		r.files[path] = b
	}
	return b, err
}

func (r *procReader) readSysctl(file, item string) *uint64 {
	return parseFile(r, "sys/"+file, item, func(b []byte) (uint64, error) {
		n, err := ParseNumbers(b, 1)
		if err != nil {
			return 0, err
		}
		return n[0], nil
	})
}

func (r *procReader) readNetstat(name string) *uint64 {
	return parseFile(r, "self/net/netstat", name, func(b []byte) (uint64, error) { return ParseNetstat(b, "TcpExt", name) })
}

func (r *procReader) readSockstat(name, item string) *uint64 {
	return parseFile(r, "self/net/sockstat", item, func(b []byte) (uint64, error) { return ParseSockstat(b, "TCP", name) })
}

// parseFile reads and parses a file. On failure it adds to r.unobserved and returns nil.
func parseFile[T any](r *procReader, file, item string, parse func([]byte) (T, error)) *T {
	path := filepath.Join(r.proc, file)
	b, err := r.readFile(path)
	if err == nil {
		var v T
		if v, err = parse(b); err == nil {
			return &v
		}
		err = fmt.Errorf("%s: %w", path, err)
	}
	r.unobserved = append(r.unobserved, socket.Unobserved{Item: item, Reason: explainError(file, err)})
	return nil
}

// explainError returns err's text with a hint at the cause.
func explainError(file string, err error) string {
	hint := ""
	if errors.Is(err, fs.ErrNotExist) {
		switch filepath.Base(file) {
		case "nf_conntrack_count", "nf_conntrack_max":
			hint = " (nf_conntrack is not loaded)"
		case "nf_conntrack":
			hint = " (nf_conntrack is not loaded, or built without CONFIG_NF_CONNTRACK_PROCFS)"
		case "tcp_mem", "tcp_max_orphans", "arp_cache", "ndisc_cache":
			hint = " (exists only in the node's network namespace; this needs hostNetwork)"
		}
	}
	return err.Error() + hint
}
