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
	r := reading{proc: proc, files: map[string][]byte{}}
	var c Counters
	if count, limit := r.sysctl("net/netfilter/nf_conntrack_count", "conntrack entries"),
		r.sysctl("net/netfilter/nf_conntrack_max", "conntrack limit"); count != nil && limit != nil {
		c.Conntrack = &Conntrack{*count, *limit}
	}
	c.ConntrackDrops = read(&r, "self/net/stat/nf_conntrack", "conntrack drops", ParseConntrackStat)

	c.TimeWaitOverflow = r.netstat("TCPTimeWaitOverflow")
	c.ListenOverflows = r.netstat("ListenOverflows")
	c.ListenDrops = r.netstat("ListenDrops")

	c.Orphans = r.sockstat("orphan", "TCP orphans")
	c.TCPMemory = r.sockstat("mem", "TCP memory")
	c.MaxOrphans = r.sysctl("net/ipv4/tcp_max_orphans", "TCP orphan limit")
	c.TCPMemoryLimits = read(&r, "sys/net/ipv4/tcp_mem", "TCP memory limits", func(b []byte) ([3]uint64, error) {
		n, err := Numbers(b, 3)
		if err != nil {
			return [3]uint64{}, err
		}
		return [3]uint64(n), nil
	})
	// "allocated free max"; free is always 0 (Documentation/admin-guide/sysctl/fs.rst).
	if n := read(&r, "sys/fs/file-nr", "open files", func(b []byte) ([]uint64, error) { return Numbers(b, 3) }); n != nil {
		c.OpenFiles, c.MaxFiles = &(*n)[0], &(*n)[2]
	}
	return c, r.unseen
}

// reading is one Read; a file is read once.
type reading struct {
	proc   string
	files  map[string][]byte
	unseen []socket.Unobserved
}

func (r *reading) file(path string) ([]byte, error) {
	if b, ok := r.files[path]; ok {
		return b, nil
	}
	b, err := os.ReadFile(path)
	if err == nil {
		r.files[path] = b
	}
	return b, err
}

func (r *reading) sysctl(file, what string) *uint64 {
	return read(r, "sys/"+file, what, func(b []byte) (uint64, error) {
		n, err := Numbers(b, 1)
		if err != nil {
			return 0, err
		}
		return n[0], nil
	})
}

func (r *reading) netstat(name string) *uint64 {
	return read(r, "self/net/netstat", name, func(b []byte) (uint64, error) { return Netstat(b, "TcpExt", name) })
}

func (r *reading) sockstat(name, what string) *uint64 {
	return read(r, "self/net/sockstat", what, func(b []byte) (uint64, error) { return Sockstat(b, "TCP", name) })
}

// read parses a file; nil means that it is in r.unseen.
func read[T any](r *reading, file, what string, parse func([]byte) (T, error)) *T {
	path := filepath.Join(r.proc, file)
	b, err := r.file(path)
	if err == nil {
		var v T
		if v, err = parse(b); err == nil {
			return &v
		}
		err = fmt.Errorf("%s: %w", path, err)
	}
	r.unseen = append(r.unseen, socket.Unobserved{Item: what, Reason: why(file, err)})
	return nil
}

func why(file string, err error) string {
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
