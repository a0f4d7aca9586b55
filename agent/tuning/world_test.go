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
	"portreeve.io/portreeve/internal/settings"
)

// world simulates a kernel and a disk that can fail.
type world struct {
	boot int
	// steps is the number of remaining steps before the process is killed. A negative
	// number means never.
	steps int
	// fault is the error of writes to the disk.
	fault error
	// refusedKeys are the keys that the kernel refuses to write.
	refusedKeys map[string]bool

	sysctls map[string]string
	names   [2]map[string]int // inodes of files, now and after a power loss
	content [2]map[int]string
	inodes  int
	// writesThrough makes a renamed file survive a power loss without a sync.
	writesThrough bool

	kernelWrites, diskWrites int
	// wrote is called before each write to the kernel.
	wrote func(key, value string)
}

// killed is the panic value that ends a process.
type killed struct{}

// countStep is called before and after every lasting change.
func (w *world) countStep() {
	if w.steps == 0 {
		panic(killed{})
	}
	w.steps--
}

// bootValues are the sysctls that the kernel starts with.
var bootValues = map[string]string{
	settings.KeyLocalPortRange:       "32768\t60999",
	settings.KeyLocalReservedPorts:   "8080,60100",
	settings.KeyTCPTWReuse:           "2",
	settings.KeyTCPFinTimeout:        "60",
	settings.KeySomaxconn:            "4096",
	settings.KeyConntrackMax:         "262144",
	settings.KeyConntrackEstablished: "86400",
}

func newWorld() *world {
	w := &world{steps: -1, refusedKeys: map[string]bool{}, sysctls: maps.Clone(bootValues)}
	for i := range w.names {
		w.names[i], w.content[i] = map[string]int{}, map[int]string{}
	}
	return w
}

func (w *world) bootID() string { return fmt.Sprintf("boot-%d", w.boot) }

// rebootMachine restarts the machine. A power loss discards unsynced data.
func (w *world) rebootMachine(powerLoss bool) {
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
	w.countStep()
	if w.refusedKeys[key] {
		return syscall.EINVAL
	}
	w.kernelWrites++
	w.wrote(key, value)
	if key == reserveKey && len(value) >= pageSize { // the first part replaces the list, the others add to it
		w.sysctls[key] = value[:strings.LastIndexByte(value[:pageSize], ',')]
		w.countStep()
	}
	w.sysctls[key] = strings.ReplaceAll(value, " ", "\t")
	w.countStep()
	return nil
}

// pageSize is the length from which the kernel accepts a list in parts.
const pageSize = 4095

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
	f.countStep()
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
	f.countStep()
	f.content[0][inode] = string(data)
	f.countStep()
	return nil
}

func (f files) Sync(name string) error {
	f.countStep()
	if f.fault != nil {
		return f.fault
	}
	if name == "" {
		f.names[1] = maps.Clone(f.names[0])
		return nil
	}
	inode := f.names[0][name]
	f.content[1][inode] = f.content[0][inode]
	f.countStep()
	return nil
}

func (f files) Rename(from, to string) error {
	f.countStep()
	if f.fault != nil {
		return f.fault
	}
	f.diskWrites++
	f.names[0][to] = f.names[0][from]
	delete(f.names[0], from)
	if f.writesThrough {
		f.names[1] = maps.Clone(f.names[0])
	}
	f.countStep()
	return nil
}

func (f files) Remove(name string) error {
	f.countStep()
	if f.fault != nil {
		return f.fault
	}
	if _, there := f.names[0][name]; there {
		f.diskWrites++
		delete(f.names[0], name)
	}
	f.countStep()
	return nil
}

func (f files) List() (names []string, err error) {
	for name := range f.names[0] {
		names = append(names, name)
	}
	return names, nil
}

// findJournaled returns the journal entry of a key of the host, of this boot.
func (w *world) findJournaled(key string) (plan.JournalEntry, bool) {
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

func parsePorts(list string) ports.Set {
	all, err := ports.ParseList(list)
	if err != nil {
		panic(err)
	}
	if all == nil {
		return ports.Set{}
	}
	return *all
}

func parseSet(list string) map[uint16]bool {
	set := map[uint16]bool{}
	all := parsePorts(list)
	for _, r := range all.ListRanges() {
		for p := int(r.First); p <= int(r.Last); p++ {
			set[uint16(p)] = true
		}
	}
	return set
}

func newSetting(key, value string) v1alpha1.Setting {
	return v1alpha1.Setting{ID: key, Key: key, Value: value, Scope: v1alpha1.ScopeHost}
}
