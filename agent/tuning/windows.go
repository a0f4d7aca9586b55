package tuning

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/internal/settings"
)

// Registry is a key of the registry and its values of type REG_DWORD.
type Registry interface {
	// Get gives a value, nil where the key has none of that name. The error is
	// plan.ErrForeign where it is of another type, fs.ErrNotExist where there is no key.
	Get(name string) (*uint32, error)
	Set(name string, value uint32) error
	Delete(name string) error
	// Writable is nil where values can be set.
	Writable() error
}

// Windows are the settings of a Windows machine.
type Windows struct {
	registry Registry
	netsh    netsh.Client
	now      func() time.Time

	mu      sync.Mutex
	read    map[string]reading // of netsh
	refused map[string]refusal
}

// reading is what netsh said at a time, refusal what it said to a write. Starting netsh
// takes more than everything else in a cycle, so it is not asked again for a while.
type (
	reading struct {
		plan.Reading
		at time.Time
	}
	refusal struct {
		value string
		err   error
		at    time.Time
	}
)

// netshEvery is how long what netsh said is believed.
const netshEvery = time.Minute

// NewWindows are the settings in TCP/IP's key of the registry, and those of netsh.
func NewWindows(tcpip Registry, client netsh.Client, now func() time.Time) *Windows {
	return &Windows{registry: tcpip, netsh: client, now: now, read: map[string]reading{}, refused: map[string]refusal{}}
}

// Read implements Store.
func (w *Windows) Read(key string) plan.Reading {
	if name, ok := strings.CutPrefix(key, settings.TcpipParameters); ok {
		return w.readValue(name)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r, ok := w.read[key]
	if !ok || w.now().Sub(r.at) >= netshEvery {
		r = reading{w.ask(key), w.now()}
		w.read[key] = r
	}
	return r.Reading
}

// Refresh implements refresher. A write that netsh has just refused is refused again
// without asking it, and so is no reason to read.
func (w *Windows) Refresh(writes []plan.Write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, of := range writes {
		if !w.isRefused(of) {
			w.read = map[string]reading{}
		}
	}
}

func (w *Windows) isRefused(of plan.Write) bool {
	r, ok := w.refused[of.Key]
	return ok && r.value == of.Value && w.now().Sub(r.at) < netshEvery
}

func (w *Windows) readValue(name string) plan.Reading {
	value, err := w.registry.Get(name)
	switch {
	case err != nil:
		return plan.Reading{Err: err}
	case value == nil:
		return plan.Reading{Value: settings.Unset, ReadOnly: w.registry.Writable() != nil}
	}
	return plan.Reading{Value: strconv.FormatUint(uint64(*value), 10), ReadOnly: w.registry.Writable() != nil}
}

// ask reads a setting of netsh's, each of its parts.
func (w *Windows) ask(key string) plan.Reading {
	is, ok := settings.Lookup(settings.Windows, key)
	if !ok {
		return plan.Reading{Err: fmt.Errorf("%.80q: not a setting of Windows that Portreeve knows", key)}
	}
	var values, foreign []string
	for _, l := range listsOf(key) {
		r := w.askPart(key, l)
		if r.Err != nil {
			return r
		}
		values, foreign = append(values, r.Value), append(foreign, r.Foreign)
	}
	return plan.Reading{Value: is.JoinParts(values), Foreign: is.JoinParts(foreign)}
}

// askPart reads one part. What running programs exclude is not ours: netsh's own is
// administered.
func (w *Windows) askPart(key string, l list) plan.Reading {
	if key != settings.KeyExcludedPorts {
		b, err := w.netsh.ShowDynamicPorts(context.Background(), l.family, l.protocol)
		return plan.Reading{Value: b.String(), Err: err}
	}
	all, err := w.netsh.ShowExclusions(context.Background(), l.family, l.protocol)
	theirs := slices.DeleteFunc(slices.Clone(all), func(e netsh.Exclusion) bool { return e.Administered })
	return plan.Reading{Value: settings.FormatPorts(portsOf(all)), Foreign: settings.FormatPorts(portsOf(theirs)), Err: err}
}

// Write implements Store.
func (w *Windows) Write(of plan.Write) error {
	if name, ok := strings.CutPrefix(of.Key, settings.TcpipParameters); ok {
		return w.writeValue(name, of.Value)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isRefused(of) {
		return w.refused[of.Key].err
	}
	delete(w.read, of.Key)
	delete(w.refused, of.Key)
	err := w.set(of)
	if err != nil {
		w.refused[of.Key] = refusal{of.Value, err, w.now()}
	}
	return err
}

func (w *Windows) writeValue(name, value string) error {
	if value == settings.Unset {
		return w.registry.Delete(name)
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return fmt.Errorf("%q is no REG_DWORD: %w", value, err)
	}
	return w.registry.Set(name, uint32(n))
}

func (w *Windows) set(of plan.Write) error {
	switch of.Key {
	case settings.KeyDynamicPortsTCP, settings.KeyDynamicPortsUDP:
		return w.setDynamicPorts(of)
	case settings.KeyExcludedPorts:
		return w.setExclusions(of)
	}
	return fmt.Errorf("%.80q: not a setting of Windows that Portreeve knows", of.Key)
}

// list is what netsh has one of for each family and protocol.
type list struct {
	family   netsh.Family
	protocol socket.Protocol
}

// listsOf are those of key, in the order of its parts in the catalogue.
func listsOf(key string) []list {
	switch key {
	case settings.KeyDynamicPortsTCP:
		return []list{{netsh.IPv4, socket.TCP}, {netsh.IPv6, socket.TCP}}
	case settings.KeyDynamicPortsUDP:
		return []list{{netsh.IPv4, socket.UDP}, {netsh.IPv6, socket.UDP}}
	}
	return []list{{netsh.IPv4, socket.TCP}, {netsh.IPv6, socket.TCP}, {netsh.IPv4, socket.UDP}, {netsh.IPv6, socket.UDP}}
}
