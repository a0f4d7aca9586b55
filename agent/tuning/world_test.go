package tuning

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"syscall"

	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
)

// world is a kernel and a disk in memory that fail where they are told to.
type world struct {
	boot int
	// steps is how many steps may still be done before the process is killed; below 0
	// is never.
	steps int
	// fault is what the disk answers to writes.
	fault error
	// stubborn are keys that the kernel refuses to write.
	stubborn map[string]bool

	sysctls map[string]string
	names   [2]map[string]int // of files: as they are, and as a loss of power leaves them
	content [2]map[int]string
	inodes  int
	// writesThrough: a new name is certain at once.
	writesThrough bool

	kernelWrites, diskWrites int
	// wrote is told of each write to the kernel before it is done.
	wrote func(key, value string)
}

// killed is what ends a process.
type killed struct{}

// step is before and after everything that lasts.
func (w *world) step() {
	if w.steps == 0 {
		panic(killed{})
	}
	w.steps--
}

// bootValues are the sysctls that the kernel starts with.
var bootValues = map[string]string{
	"net.ipv4.ip_local_port_range":                       "32768\t60999",
	"net.ipv4.ip_local_reserved_ports":                   "8080,60100",
	"net.ipv4.tcp_tw_reuse":                              "2",
	"net.ipv4.tcp_fin_timeout":                           "60",
	"net.core.somaxconn":                                 "4096",
	"net.netfilter.nf_conntrack_max":                     "262144",
	"net.netfilter.nf_conntrack_tcp_timeout_established": "86400",
}

func newWorld() *world {
	w := &world{steps: -1, stubborn: map[string]bool{}, sysctls: maps.Clone(bootValues)}
	for i := range w.names {
		w.names[i], w.content[i] = map[string]int{}, map[int]string{}
	}
	return w
}

func (w *world) bootID() string { return fmt.Sprintf("boot-%d", w.boot) }

// reboot starts the machine anew; without power, what was not synced is lost.
func (w *world) reboot(powerLoss bool) {
	w.boot++
	w.sysctls = maps.Clone(bootValues)
	from := 0
	if powerLoss {
		from = 1
	}
	w.names[0], w.names[1] = maps.Clone(w.names[from]), maps.Clone(w.names[from])
	w.content[0], w.content[1] = maps.Clone(w.content[from]), maps.Clone(w.content[from])
}

func (w *world) Read(key string) plan.Reading {
	v, ok := w.sysctls[key]
	if !ok {
		return plan.Reading{Err: fs.ErrNotExist}
	}
	return plan.Reading{Value: v}
}

func (w *world) Write(of plan.Write) error {
	key, value := of.Key, of.Value
	w.step()
	if w.stubborn[key] {
		return syscall.EINVAL
	}
	w.kernelWrites++
	w.wrote(key, value)
	w.sysctls[key] = strings.ReplaceAll(value, " ", "\t")
	w.step()
	return nil
}

// files is the world's disk.
type files struct{ *world }

func (f files) Read(name string) ([]byte, error) {
	inode, ok := f.names[0][name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(f.content[0][inode]), nil
}

func (f files) Write(name string, data []byte) error {
	f.step()
	if f.fault != nil && !errors.Is(f.fault, syscall.ENOSPC) {
		return f.fault
	}
	f.diskWrites++
	inode, ok := f.names[0][name]
	if !ok {
		f.inodes++
		inode = f.inodes
		f.names[0][name] = inode
	}
	f.content[0][inode] = string(data[:len(data)/2])
	if f.fault != nil {
		return f.fault
	}
	f.step()
	f.content[0][inode] = string(data)
	f.step()
	return nil
}

func (f files) Sync(name string) error {
	f.step()
	if f.fault != nil {
		return f.fault
	}
	if name == "" {
		f.names[1] = maps.Clone(f.names[0])
		return nil
	}
	inode := f.names[0][name]
	f.content[1][inode] = f.content[0][inode]
	f.step()
	return nil
}

func (f files) Rename(from, to string) error {
	f.step()
	if f.fault != nil {
		return f.fault
	}
	f.diskWrites++
	f.names[0][to] = f.names[0][from]
	delete(f.names[0], from)
	if f.writesThrough {
		f.names[1] = maps.Clone(f.names[0])
	}
	f.step()
	return nil
}

func (f files) Remove(name string) error {
	f.step()
	if f.fault != nil {
		return f.fault
	}
	if _, there := f.names[0][name]; there {
		f.diskWrites++
		delete(f.names[0], name)
	}
	f.step()
	return nil
}

func (f files) List() (names []string, err error) {
	for name := range f.names[0] {
		names = append(names, name)
	}
	return names, nil
}

// journaled is what the journal on the disk says of a key of the host, in this boot.
func (w *world) journaled(key string) (plan.JournalEntry, bool) {
	steps := w.steps
	w.steps = -1
	defer func() { w.steps = steps }()
	j, err := journal.Open(files{w}, w.bootID(), epoch)
	if err != nil {
		return plan.JournalEntry{}, false
	}
	e, ok := j.Entries(plan.Target{})[key]
	return e, ok && e.Boot == w.bootID()
}

func set(list string) map[uint16]bool {
	set := map[uint16]bool{}
	all, err := ports.ParseList(list)
	if err != nil {
		panic(err)
	}
	for p := range 1 << 16 {
		if all.Contains(uint16(p)) {
			set[uint16(p)] = true
		}
	}
	return set
}

func wishOf(key, value string) v1alpha1.Setting {
	return v1alpha1.Setting{ID: key, Key: key, Value: value, Scope: v1alpha1.ScopeHost}
}
