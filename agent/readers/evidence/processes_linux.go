package evidence

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/socket"
)

const (
	// minFiles is the number of open files from which a process's limit is read. Lower limits
	// are not in use.
	minFiles = 200
	// nearLimitPercent is the percentage of a limit from which a process is near it.
	nearLimitPercent = 90
	// maxFiles bounds the open files that are read for one sample.
	maxFiles = 1 << 17
)

// processList has the processes that procfs shows, by the inode of their network namespace.
type processList struct {
	proc      string
	byNetwork map[uint64][]int
	own       uint64 // the inode of this process's namespace
	denied    int    // processes whose namespace can't be read
	files     []socket.FileUsage
}

// listProcesses reads the processes, and which of them are near their limit of open files.
func listProcesses(proc string) (*processList, error) {
	l := &processList{proc: proc, byNetwork: map[uint64][]int{}, files: []socket.FileUsage{}}
	own, err := readInode(proc + "/self/ns/net")
	if err != nil {
		return nil, err
	}
	l.own = own
	folder, err := os.Open(proc)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			l.addProcess(pid)
		}
	}
	slices.SortFunc(l.files, func(a, b socket.FileUsage) int {
		return cmp.Or(cmp.Compare(b.Open*a.Max, a.Open*b.Max), cmp.Compare(a.PID, b.PID))
	})
	l.files = l.files[:min(len(l.files), socket.MaxEvidence)]
	return l, nil
}

func (l *processList) addProcess(pid int) {
	inode, err := readInode(l.formatPath(pid, "ns/net"))
	if errors.Is(err, fs.ErrPermission) {
		l.denied++
		return
	}
	if err != nil {
		return // it has ended
	}
	l.byNetwork[inode] = append(l.byNetwork[inode], pid)
	if usage, ok := l.readFileUsage(pid); ok {
		l.files = append(l.files, usage)
	}
}

// readFileUsage returns the open files of a process that is near its limit.
func (l *processList) readFileUsage(pid int) (u socket.FileUsage, ok bool) {
	open := l.countFiles(pid)
	if open < minFiles {
		return u, false
	}
	text, err := os.ReadFile(l.formatPath(pid, "limits"))
	if err != nil {
		return u, false
	}
	limit, err := parseFileLimit(text)
	if err != nil || limit == 0 || open*100 < limit*nearLimitPercent {
		return u, false
	}
	u = socket.FileUsage{Process: l.readProcess(pid), Open: open, Max: limit}
	if cgroup, err := os.ReadFile(l.formatPath(pid, "cgroup")); err == nil {
		u.Container = netns.ParseCgroupFile(cgroup).Container
	}
	return u, true
}

// countFiles returns the number of open files: the size of the folder since Linux 6.2 (commit
// f1f1f2569901), its entries before that; 0 if it can't be read.
func (l *processList) countFiles(pid int) int {
	path := l.formatPath(pid, "fd")
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err == nil && st.Size > 0 {
		return int(st.Size)
	}
	folder, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(maxFiles) // a process that ends meanwhile has no limit
	return len(names)
}

func (l *processList) readProcess(pid int) socket.Process {
	name, _ := os.ReadFile(l.formatPath(pid, "comm")) // empty if the process has ended
	return socket.Process{Name: string(bytes.TrimSpace(name)), PID: pid}
}

// findOwners returns the processes of a network by the inodes of their sockets. It reads at
// most maxFiles open files.
func (l *processList) findOwners(network uint64) map[uint32]socket.Process {
	owners := map[uint32]socket.Process{}
	remaining := maxFiles
	for _, pid := range l.byNetwork[network] {
		remaining -= l.addOwner(pid, owners, remaining)
	}
	return owners
}

// addOwner adds the sockets of a process and returns the number of files that it read.
func (l *processList) addOwner(pid int, owners map[uint32]socket.Process, limit int) int {
	path := l.formatPath(pid, "fd")
	folder, err := os.Open(path)
	if err != nil || limit <= 0 {
		return 0
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(limit)
	process := l.readProcess(pid)
	for _, name := range names {
		target, err := os.Readlink(path + "/" + name)
		inode, ok := parseSocketLink(target)
		if err != nil || !ok {
			continue
		}
		if _, known := owners[inode]; !known { // a socket that several processes share belongs to the first
			owners[inode] = process
		}
	}
	return len(names)
}

func (l *processList) formatPath(pid int, name string) string {
	return l.proc + "/" + strconv.Itoa(pid) + "/" + name
}

func readInode(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Ino, nil
}
