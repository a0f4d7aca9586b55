package kernelstat

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"portreeve.io/portreeve/agent/socket"
)

// Counters are the counters of one network namespace, the reading process's
// own, and some of the whole machine; nil is what could not be read. The files
// are open to everyone; what a reader lacks is being in the node's network
// namespace (hostNetwork), without which the figures are its own pod's.
type Counters struct {
	// Conntrack is the namespace's entries, and the machine's limit for each
	// namespace. Files /proc/sys/net/netfilter/nf_conntrack_{count,max}.
	Conntrack *Conntrack
	// ConntrackDrops is the namespace's. File /proc/net/stat/nf_conntrack.
	ConntrackDrops *ConntrackDrops

	// TimeWaitOverflow counts sockets that skipped TIME_WAIT because
	// net.ipv4.tcp_max_tw_buckets were there. The namespace's, since it was
	// made; file /proc/net/netstat, as are the next two.
	TimeWaitOverflow *uint64
	// ListenOverflows counts connections that a full accept queue refused,
	// ListenDrops those and the ones refused for other reasons.
	ListenOverflows, ListenDrops *uint64

	// Orphans is the machine's TCP sockets that no process holds any more.
	// File /proc/net/sockstat, as is the next.
	Orphans *uint64
	// TCPMemory is the pages that all TCP buffers of the machine use.
	TCPMemory *uint64
	// TCPMemoryLimits are net.ipv4.tcp_mem: pages below which TCP is at ease,
	// is under pressure, and gets no more. Only shown in the initial network
	// namespace, as is MaxOrphans (net.ipv4.tcp_max_orphans).
	TCPMemoryLimits *[3]uint64
	MaxOrphans      *uint64

	// OpenFiles and MaxFiles are the machine's open file descriptions and their
	// limit (fs.file-max). File /proc/sys/fs/file-nr.
	OpenFiles, MaxFiles *uint64
}

// Conntrack is how full the connection table is.
type Conntrack struct{ Entries, Max uint64 }

// Read reads the counters through the procfs at proc, and names what it could
// not read and why.
func Read(proc string) (Counters, []socket.Unobserved) {
	r := procReader{proc: proc, files: map[string][]byte{}}
	var c Counters
	if count, limit := r.readSysctl("net/netfilter/nf_conntrack_count", "conntrack entries"),
		r.readSysctl("net/netfilter/nf_conntrack_max", "conntrack limit"); count != nil && limit != nil {
		c.Conntrack = &Conntrack{*count, *limit}
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
	if n := parseFile(&r, "sys/fs/file-nr", "open files", func(b []byte) ([]uint64, error) { return ParseNumbers(b, 3) }); n != nil {
		c.OpenFiles, c.MaxFiles = &(*n)[0], &(*n)[2]
	}
	return c, r.unobserved
}

// procReader is one Read; a file is read once.
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

func (r *procReader) readSysctl(file, what string) *uint64 {
	return parseFile(r, "sys/"+file, what, func(b []byte) (uint64, error) {
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

func (r *procReader) readSockstat(name, what string) *uint64 {
	return parseFile(r, "self/net/sockstat", what, func(b []byte) (uint64, error) { return ParseSockstat(b, "TCP", name) })
}

// parseFile parses a file; nil means that it is in r.unobserved.
func parseFile[T any](r *procReader, file, what string, parse func([]byte) (T, error)) *T {
	path := filepath.Join(r.proc, file)
	b, err := r.readFile(path)
	if err == nil {
		var v T
		if v, err = parse(b); err == nil {
			return &v
		}
		err = fmt.Errorf("%s: %w", path, err)
	}
	r.unobserved = append(r.unobserved, socket.Unobserved{Item: what, Reason: explainError(file, err)})
	return nil
}

func explainError(file string, err error) string {
	hint := ""
	if errors.Is(err, fs.ErrNotExist) {
		switch filepath.Base(file) {
		case "nf_conntrack_count", "nf_conntrack_max":
			hint = ": nf_conntrack is not loaded"
		case "nf_conntrack":
			hint = ": nf_conntrack is not loaded, or built without CONFIG_NF_CONNTRACK_PROCFS"
		case "tcp_mem", "tcp_max_orphans":
			hint = ": only shown in the node's own network namespace: needs hostNetwork"
		}
	}
	return err.Error() + hint
}
