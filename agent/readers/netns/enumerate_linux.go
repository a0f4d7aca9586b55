package netns

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/socket"
)

// Namespace is a network namespace that Finder found.
type Namespace struct {
	// Inode is the number in "net:[4026531840]".
	Inode uint64
	// Cookie distinguishes namespaces that had the same inode one after another
	// (SO_NETNS_COOKIE); 0 if it was not read.
	Cookie uint64
	// Path is a file of the namespace, for Enter.
	Path  string
	Owner socket.Owner
	// IsOwn is set for this process's namespace.
	IsOwn bool
}

// Finder finds network namespaces by the processes in them and by the files that
// container runtimes create. It is not safe for concurrent use.
type Finder struct {
	procRoot, netnsRoot string
	// file is the file in a process's folder whose inode identifies its namespace.
	file  string
	known map[uint64]map[int]ProcessInfo // by inode and PID, of the last Find
}

// NewFinder returns a Finder for the procfs at proc and the namespace files in the folder
// netns (usually /run/netns), which need not exist.
func NewFinder(proc, netns string) (*Finder, error) {
	return newFinder(proc, netns, "ns/net")
}

// NewUnprivilegedFinder returns a Finder for the procfs at proc that needs no capability. It
// finds only namespaces with processes. Their Inode is that of /proc/PID/net/tcp, which is
// unique in the namespace like that of the namespace itself: the kernel allocates both from the
// same numbers (proc_alloc_inum in fs/proc/generic.c).
func NewUnprivilegedFinder(proc string) (*Finder, error) { return newFinder(proc, "", "net/tcp") }

func newFinder(proc, netns, file string) (*Finder, error) {
	f := &Finder{procRoot: proc, netnsRoot: netns, file: file}
	if _, err := readInode(filepath.Join(proc, "self", file)); err != nil {
		return nil, fmt.Errorf("%[1]s/self/%[2]s not found; check that %[1]s is a mounted procfs: %[3]w", proc, file, err)
	}
	return f, nil
}

// Find returns the namespaces in order of their inodes, and what could not be observed.
// Namespaces that vanish meanwhile are omitted. A process is read only once, when it is
// new in its namespace.
func (f *Finder) Find() ([]Namespace, []socket.Unobserved, error) {
	own, err := readInode(filepath.Join(f.procRoot, "self", f.file))
	if err != nil {
		return nil, nil, err
	}
	pids, unobserved, err := f.groupProcesses(own)
	if err != nil {
		return nil, nil, err
	}
	host, ok := f.findHostNetns(own)
	if !ok {
		unobserved = append(unobserved, socket.Unobserved{Item: "the node's other network namespaces",
			Reason: "PID 1 in " + f.procRoot + " is not the node's; this needs hostPID"})
	}
	found := make([]Namespace, 0, len(pids))
	known := make(map[uint64]map[int]ProcessInfo, len(pids))
	for ino, in := range pids {
		n := Namespace{Inode: ino, Path: f.formatProcPath(slices.Min(in), f.file), IsOwn: ino == own}
		if ino == host {
			n.Owner = ResolveOwner(nil, true)
		} else {
			known[ino] = f.readProcesses(in, f.known[ino])
			n.Owner = ResolveOwner(slices.Collect(maps.Values(known[ino])), false)
		}
		found = append(found, n)
	}
	f.known = known
	found, more := f.addNamespaceFiles(found)
	slices.SortFunc(found, func(a, b Namespace) int { return cmp.Compare(a.Inode, b.Inode) })
	return found, append(unobserved, more...), nil
}

// groupProcesses groups the PIDs by network namespace.
func (f *Finder) groupProcesses(own uint64) (map[uint64][]int, []socket.Unobserved, error) {
	names, err := readNames(f.procRoot)
	if err != nil {
		return nil, nil, err
	}
	link, err := os.Readlink(filepath.Join(f.procRoot, "self"))
	if err != nil {
		return nil, nil, err
	}
	self, err := strconv.Atoi(link)
	if err != nil {
		return nil, nil, fmt.Errorf("%s/self is %q, not a PID", f.procRoot, link)
	}
	pids := map[uint64][]int{own: {self}} // always includes this process
	denied, example := 0, error(nil)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == self {
			continue
		}
		ino, err := readInode(f.formatProcPath(pid, f.file))
		switch {
		case err == nil:
			pids[ino] = append(pids[ino], pid)
		case errors.Is(err, fs.ErrPermission):
			denied, example = denied+1, err
		}
	}
	if denied == 0 {
		return pids, nil, nil
	}
	return pids, []socket.Unobserved{{
		Item:   fmt.Sprintf("network namespaces of %d processes", denied),
		Reason: fmt.Sprintf("%v; this needs SYS_PTRACE", example),
	}}, nil
}

// findHostNetns returns the inode of the node's own network namespace, and false if it is
// unknown. The node may itself be a container (kind).
func (f *Finder) findHostNetns(own uint64) (uint64, bool) {
	first, err := readInode(f.formatProcPath(1, f.file))
	if err == nil && f.isInitialPIDNamespace() {
		return first, true
	}
	// Settings that are not per namespace exist only in the initial one.
	if _, err := os.Stat(filepath.Join(f.procRoot, "sys/net/ipv4/tcp_max_orphans")); err == nil {
		return own, true
	}
	if err != nil || !f.isFirstProcessNodes() {
		return 0, false
	}
	return first, true
}

// ShowsNode reports whether the procfs shows the processes of the node.
func (f *Finder) ShowsNode() bool { return f.isInitialPIDNamespace() || f.isFirstProcessNodes() }

// isInitialPIDNamespace reports whether the procfs is that of the initial PID namespace. Without
// privileges only this process's own is visible.
func (f *Finder) isInitialPIDNamespace() bool {
	for _, process := range []string{"1", "self"} {
		if pid, err := readInode(filepath.Join(f.procRoot, process, "ns/pid")); err == nil && pid == initialPIDNamespace {
			return true
		}
	}
	return false
}

// isFirstProcessNodes reports whether PID 1 of a PID namespace below the initial one is a
// node's, and not in this container or in a pod.
func (f *Finder) isFirstProcessNodes() bool {
	one, e1 := os.ReadFile(f.formatProcPath(1, "cgroup"))
	self, e2 := os.ReadFile(filepath.Join(f.procRoot, "self/cgroup"))
	return errors.Join(e1, e2) == nil && string(one) != string(self) && ParseCgroupFile(one).PodUID == ""
}

// initialPIDNamespace is PROC_PID_INIT_INO (include/linux/proc_ns.h).
const initialPIDNamespace = 0xEFFFFFFC

// readProcesses returns the processes, and reads those that are not known yet.
func (f *Finder) readProcesses(pids []int, known map[int]ProcessInfo) map[int]ProcessInfo {
	ps := make(map[int]ProcessInfo, len(pids))
	for _, pid := range pids {
		p, ok := known[pid]
		if !ok {
			p, ok = f.readProcess(pid)
		}
		if ok {
			ps[pid] = p
		}
	}
	return ps
}

// readProcess reads one process. It returns false if that has ended or is inaccessible.
func (f *Finder) readProcess(pid int) (ProcessInfo, bool) {
	stat, err1 := os.ReadFile(f.formatProcPath(pid, "stat"))
	cgroup, err2 := os.ReadFile(f.formatProcPath(pid, "cgroup"))
	if err1 != nil || err2 != nil {
		return ProcessInfo{}, false
	}
	comm, start, err := parseStat(stat)
	return ProcessInfo{PID: pid, StartTime: start, Comm: comm, Cgroup: ParseCgroupFile(cgroup)}, err == nil
}

// addNamespaceFiles adds the namespaces that only have a file in the netns folder.
func (f *Finder) addNamespaceFiles(found []Namespace) ([]Namespace, []socket.Unobserved) {
	if f.netnsRoot == "" {
		return found, nil
	}
	names, err := readNames(f.netnsRoot)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return found, []socket.Unobserved{{Item: "namespaces in " + f.netnsRoot, Reason: err.Error()}}
		}
		return found, nil
	}
	for _, name := range names {
		path := filepath.Join(f.netnsRoot, name)
		ino, err := readInode(path)
		var st unix.Statfs_t
		if err != nil || unix.Statfs(path, &st) != nil || st.Type != unix.NSFS_MAGIC {
			continue // vanished, or not mounted yet
		}
		if !slices.ContainsFunc(found, func(n Namespace) bool { return n.Inode == ino }) {
			found = append(found, Namespace{Inode: ino, Path: path, Owner: ResolveOwner(nil, false)})
		}
	}
	return found, nil
}

func (f *Finder) formatProcPath(pid int, name string) string {
	return f.procRoot + "/" + strconv.Itoa(pid) + "/" + name
}

// ReadOwnInode returns the inode of the network namespace of this process, from the procfs at
// proc.
func ReadOwnInode(proc string) (uint64, error) { return readInode(filepath.Join(proc, "self/ns/net")) }

func readInode(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Ino, nil
}

func readNames(folder string) ([]string, error) {
	d, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}
