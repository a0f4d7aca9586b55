package tuning

import (
	"bytes"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/testutil/histories"
)

// hostileModel is a machine on which more can go wrong than in model: settings disappear or
// cannot be read or written, the clock is wrong, the flags of the agent change, other
// programs write at any moment, an older version of the agent runs, the Node is registered
// again, and the machine is replaced by a clone.
type hostileModel struct {
	*model
	gone, unreadable, readOnly map[string]bool
	allow                      []string
	listeners                  []ports.Range
	nodePorts                  ports.Range
	pods                       hostPortPods
	stop                       string
	isNewer                    bool // the journal is of a newer version
	isClone                    bool // and has not heard from the API server
	uid                        string
}

func (h *hostileModel) Read(key string) plan.Reading {
	switch {
	case h.gone[key]:
		return plan.Reading{Err: fs.ErrNotExist}
	case h.unreadable[key]:
		return plan.Reading{Err: syscall.EIO}
	}
	r := h.world.Read(key)
	r.ReadOnly = h.readOnly[key]
	return r
}

func (h *hostileModel) Write(w plan.Write) error {
	switch {
	case h.gone[w.Key]:
		return fs.ErrNotExist
	case h.readOnly[w.Key]:
		return syscall.EROFS
	case h.stop != "" || h.isNewer || h.isClone:
		h.t.Errorf("%s = %q is written: stopped %q, newer journal %v, clone %v", w.Key, w.Value, h.stop, h.isNewer, h.isClone)
	}
	return h.world.Write(w)
}

// hostileDisk lets another program write during a sync.
type hostileDisk struct {
	files
	h *hostileModel
}

func (d hostileDisk) Sync(name string) error {
	if d.h.r.IntN(30) == 0 {
		d.h.changeAsOtherProgram()
	}
	return d.files.Sync(name)
}

func (h *hostileModel) startTuner() {
	h.tuner = New(Options{
		Disk: func() (journal.Disk, error) { return hostileDisk{files{h.world}, h}, nil }, Host: h, Boot: h.bootID(), Kernel: "6.1",
		Allow: h.allow, Protect: []plan.Protected{{Ports: h.nodePorts, Owner: "node ports"}}, Pods: &h.pods,
		Listeners: func() ([]ports.Range, error) { return h.listeners, nil }, Stopped: func() string { return h.stop },
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return h.now },
	})
}

// restartAgent starts another process, which hears from the API server if that is available.
func (h *hostileModel) restartAgent() {
	h.startTuner()
	if h.specSent && h.r.IntN(2) == 0 {
		h.sendSpec()
	}
}

func (h *hostileModel) sendSpec() {
	h.isClone = false
	h.tuner.UpdateSpec(newNodeObject(h.uid, h.spec...))
}

// editJournal changes the journal's file.
func (h *hostileModel) editJournal(old, replacement string) {
	h.names[1] = maps.Clone(h.names[0])
	if inode, ok := h.names[0]["journal.json"]; ok {
		content := bytes.Replace([]byte(h.content[0][inode]), []byte(old), []byte(replacement), 1)
		h.content[0][inode], h.content[1][inode] = string(content), string(content)
	}
}

const ownVersion, newerVersion = `"version": 1`, `"version": 2`

func (h *hostileModel) toggleVersion() {
	if h.isNewer {
		h.editJournal(newerVersion, ownVersion)
		h.isNewer = false
	} else {
		h.editJournal(ownVersion, newerVersion)
		_, h.isNewer = h.names[0]["journal.json"]
	}
}

// becomeClone replaces the machine by one with a copy of its disk.
func (h *hostileModel) becomeClone() {
	h.rebootMachine(h.r.IntN(2) == 0)
	h.expected, h.uid = maps.Clone(bootValues), h.uid+"'"
	h.isClone, h.specSent = true, false
	h.startTuner()
}

// toggleKey removes the connection tracking table, or adds it again.
func (h *hostileModel) toggleKey() {
	const key = settings.KeyConntrackMax
	if h.gone[key] {
		h.sysctls[key], h.expected[key] = bootValues[key], bootValues[key]
	}
	h.gone[key] = !h.gone[key]
}

func drawOne[T any](h *hostileModel, of ...T) T { return of[h.r.IntN(len(of))] }

// disturb does a random thing that only this model has.
func (h *hostileModel) disturb() {
	key := drawOne(h, sortedKeys(bootValues)...)
	switch h.r.IntN(13) {
	case 0:
		h.toggleKey()
	case 1:
		h.unreadable[key] = !h.unreadable[key]
	case 2:
		h.readOnly[key] = !h.readOnly[key]
	case 3:
		h.allow = slices.DeleteFunc(slices.Clone(allowed), func(string) bool { return h.r.IntN(4) == 0 })
		h.restartAgent()
	case 4:
		h.listeners = []ports.Range{{First: 17000 + uint16(h.r.IntN(2000)), Last: 20000}}
	case 5:
		h.nodePorts = drawOne(h, plan.NodePorts, ports.Range{First: 20000, Last: 22767})
		h.restartAgent()
	case 6:
		h.stop = drawOne(h, "", "stopped")
	case 7: // the clock is set
		h.now = h.now.Add(time.Duration(h.r.IntN(49)-24) * time.Hour)
	case 8:
		h.toggleVersion()
		h.startTuner()
	case 9:
		if h.r.IntN(3) == 0 {
			h.becomeClone()
		}
	case 10: // the Node is registered again, and has a new object
		h.uid += "+"
		h.tuner.UpdateSpec(newNodeObject(h.uid))
	case 11:
		port := 16384 + uint16(h.r.IntN(4000))
		h.pods = hostPortPods{{Ports: ports.Range{First: port, Last: port}, Owner: "games/server", IsPod: true}}
	case 12:
		h.pods = nil
	}
	h.logEvent("%d: gone %v unreadable %v readOnly %v allow %v stop %q clock %v newer %v clone %v", len(h.log),
		h.gone, h.unreadable, h.readOnly, h.allow, h.stop, h.now, h.isNewer, h.isClone)
}

// changeSpec changes the spec, or sends another version of the object.
func (h *hostileModel) changeSpec() {
	switch h.r.IntN(4) {
	case 0:
		h.spec = []v1alpha1.Setting{}
	case 1:
		h.logEvent("the object is recreated, and empty")
		h.tuner.UpdateSpec(newNodeObject(h.uid))
		return
	default:
		h.spec = h.drawSpec()
	}
	h.specSent = true
	h.logEvent("spec %v", h.spec)
	h.sendSpec()
}

// runCycle runs a cycle, which may be killed.
func (h *hostileModel) runCycle() (killed int) {
	if h.r.IntN(3) > 0 {
		h.tuner.runCycle()
		h.logEvent("cycle: %v", h.sysctls)
		return 0
	}
	h.steps = h.r.IntN(40)
	h.logEvent("killed after %d steps", h.steps)
	if runUntilKilled(h.tuner.runCycle) {
		killed = 1
	}
	h.steps = -1
	h.restartAgent()
	return killed
}

func (h *hostileModel) doRandomAction() (killed int) {
	h.now = h.now.Add(time.Duration(h.r.IntN(240)) * time.Second)
	switch h.r.IntN(10) {
	case 0, 1, 2:
		h.changeSpec()
	case 3:
		h.changeAsOtherProgram()
	case 4:
		h.fault = drawOne(h, error(syscall.ENOSPC), error(syscall.EROFS), error(syscall.EIO), nil, nil)
	case 5:
		h.tuner.SetLevel(drawOne(h, v1alpha1.LevelNormal, v1alpha1.LevelWarning, v1alpha1.LevelCritical))
	case 6:
		if h.r.IntN(3) == 0 {
			h.rebootMachine(h.r.IntN(2) == 0)
			h.expected = maps.Clone(bootValues)
			h.restartAgent()
		}
	default:
		h.disturb()
	}
	return h.runCycle()
}

// checkWrite checks that the journal has the original, and that ports of others stay.
func (h *hostileModel) checkWrite(key, value string) {
	if _, ok := h.findJournaled(key); !ok {
		h.t.Errorf("%s is written without a journal entry", key)
	}
	if key != reserveKey {
		return
	}
	if lost := ports.Difference(parsePorts(h.expected[reserveKey]), parsePorts(value)); !lost.IsEmpty() {
		h.t.Errorf("ports of others are no longer reserved: %s", lost.String())
	}
}

// checkRestored ends all disturbances, restores everything and compares the values.
func (h *hostileModel) checkRestored() {
	if h.isNewer {
		h.toggleVersion()
	}
	if h.gone[settings.KeyConntrackMax] {
		h.toggleKey()
	}
	h.gone, h.unreadable, h.readOnly = map[string]bool{}, map[string]bool{}, map[string]bool{}
	h.stop, h.fault, h.allow = "", nil, allowed
	h.startTuner()
	h.spec = []v1alpha1.Setting{}
	h.sendSpec()
	h.tuner.runCycle()
	h.tuner.runCycle()
	for key, want := range h.expected {
		if def, _ := settings.Lookup(settings.Linux, key); !def.IsSame(h.sysctls[key], want) {
			h.t.Errorf("%s is %q at the end, want %q", key, h.sysctls[key], want)
		}
	}
	kernel, disk := h.kernelWrites, h.diskWrites
	h.tuner.runCycle()
	if h.kernelWrites != kernel || h.diskWrites != disk {
		h.t.Errorf("an unchanged spec causes writes: kernel %d, disk %d", h.kernelWrites-kernel, h.diskWrites-disk)
	}
}

func TestOriginalsAreRestoredOnAHostileMachine(t *testing.T) {
	n, killed, written := histories.Count(500), 0, 0
	for seed := range uint64(n) {
		m := &model{world: newWorld(), history: newHistory(t, seed, 99), expected: maps.Clone(bootValues)}
		h := &hostileModel{model: m, gone: map[string]bool{}, unreadable: map[string]bool{}, readOnly: map[string]bool{}, allow: allowed,
			nodePorts: plan.NodePorts, listeners: []ports.Range{{First: 18000, Last: 18000}}, uid: "uid"}
		h.wrote = h.checkWrite
		h.startTuner()
		for range 10 + h.r.IntN(40) {
			killed += h.doRandomAction()
		}
		h.checkRestored()
		written += h.kernelWrites
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(h.log, "\n"))
		}
	}
	if killed < n/2 || written < n {
		t.Errorf("only %d kills and %d writes in %d histories: the test has no coverage", killed, written, n)
	}
	t.Logf("%d histories, %d kills, %d writes to the kernel", n, killed, written)
}
