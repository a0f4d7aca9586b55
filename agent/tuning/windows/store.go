// Package windows reads and writes the settings of a Windows machine: values of the
// registry, and what netsh keeps.
package windows

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
	// CheckWritable is nil where values can be set.
	CheckWritable() error
}

// Store is a tuning.Store of a Windows machine's settings.
type Store struct {
	registry Registry
	netsh    netsh.Client
	now      func() time.Time

	mu       sync.Mutex
	readings map[string]cachedReading // of netsh
	refused  map[string]refusedWrite
}

// reading is what netsh said at a time, refusal what it said to a write. Starting netsh
// takes more than everything else in a cycle, so it is not asked again for a while.
type (
	cachedReading struct {
		plan.Reading
		at time.Time
	}
	refusedWrite struct {
		value string
		err   error
		at    time.Time
	}
)

// netshCacheTime is how long what netsh said is believed.
const netshCacheTime = time.Minute

// New returns the Store of the values in TCP/IP's key of the registry and of the settings
// of netsh. Pass time.Now as now.
func New(tcpip Registry, client netsh.Client, now func() time.Time) *Store {
	return &Store{registry: tcpip, netsh: client, now: now, readings: map[string]cachedReading{}, refused: map[string]refusedWrite{}}
}

// Read implements Store.
func (s *Store) Read(key string) plan.Reading {
	if name, ok := strings.CutPrefix(key, settings.Tcpip); ok {
		return s.readValue(name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.readings[key]
	if !ok || s.now().Sub(r.at) >= netshCacheTime {
		r = cachedReading{s.readNetsh(key), s.now()}
		s.readings[key] = r
	}
	return r.Reading
}

// Refresh implements refresher. A write that netsh has just refused is refused again
// without asking it, and so is no reason to read.
func (s *Store) Refresh(writes []plan.Write) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range writes {
		if !s.isRefused(of) {
			s.readings = map[string]cachedReading{}
		}
	}
}

func (s *Store) isRefused(of plan.Write) bool {
	r, ok := s.refused[of.Key]
	return ok && r.value == of.Value && s.now().Sub(r.at) < netshCacheTime
}

func (s *Store) readValue(name string) plan.Reading {
	value, err := s.registry.Get(name)
	switch {
	case err != nil:
		return plan.Reading{Err: err}
	case value == nil:
		return plan.Reading{Value: settings.Unset, ReadOnly: s.registry.CheckWritable() != nil}
	}
	return plan.Reading{Value: strconv.FormatUint(uint64(*value), 10), ReadOnly: s.registry.CheckWritable() != nil}
}

// readNetsh reads a setting of netsh's, each of its parts.
func (s *Store) readNetsh(key string) plan.Reading {
	def, ok := settings.Lookup(settings.Windows, key)
	if !ok {
		return plan.Reading{Err: fmt.Errorf("%.80q: not a known setting of Windows", key)}
	}
	var values, foreign []string
	for _, l := range listPools(key) {
		r := s.readPool(key, l)
		if r.Err != nil {
			return r
		}
		values, foreign = append(values, r.Value), append(foreign, r.Foreign)
	}
	return plan.Reading{Value: def.Join(values), Foreign: def.Join(foreign)}
}

// readPool reads one part. What running programs exclude is not ours: netsh's own is
// administered.
func (s *Store) readPool(key string, l netshPool) plan.Reading {
	if key != settings.ExcludedPorts {
		r, err := s.netsh.DynamicPorts(context.Background(), l.family, l.protocol)
		return plan.Reading{Value: settings.FormatBlock(r), Err: err}
	}
	all, err := s.netsh.Exclusions(context.Background(), l.family, l.protocol)
	theirs := slices.DeleteFunc(slices.Clone(all), func(e netsh.Exclusion) bool { return e.Administered })
	every, foreign := uniteExclusions(all), uniteExclusions(theirs)
	return plan.Reading{Value: every.String(), Foreign: foreign.String(), Err: err}
}

// Write implements Store.
func (s *Store) Write(of plan.Write) error {
	if name, ok := strings.CutPrefix(of.Key, settings.Tcpip); ok {
		return s.writeValue(name, of.Value)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isRefused(of) {
		return s.refused[of.Key].err
	}
	delete(s.readings, of.Key)
	delete(s.refused, of.Key)
	err := s.writeNetsh(of)
	if err != nil {
		s.refused[of.Key] = refusedWrite{of.Value, err, s.now()}
	}
	return err
}

func (s *Store) writeValue(name, value string) error {
	if value == settings.Unset {
		return s.registry.Delete(name)
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return fmt.Errorf("%q is not a REG_DWORD: %w", value, err)
	}
	return s.registry.Set(name, uint32(n))
}

func (s *Store) writeNetsh(of plan.Write) error {
	switch of.Key {
	case settings.DynamicTCP, settings.DynamicUDP:
		return s.setDynamicPorts(of)
	case settings.ExcludedPorts:
		return s.setExclusions(of)
	}
	return fmt.Errorf("%.80q: not a known setting of Windows", of.Key)
}

// netshPool is what netsh has one of for each family and protocol.
type netshPool struct {
	family   netsh.Family
	protocol socket.Protocol
}

// listPools are those of key, in the order of its parts in the catalogue.
func listPools(key string) []netshPool {
	switch key {
	case settings.DynamicTCP:
		return []netshPool{{netsh.IPv4, socket.TCP}, {netsh.IPv6, socket.TCP}}
	case settings.DynamicUDP:
		return []netshPool{{netsh.IPv4, socket.UDP}, {netsh.IPv6, socket.UDP}}
	}
	return []netshPool{{netsh.IPv4, socket.TCP}, {netsh.IPv6, socket.TCP}, {netsh.IPv4, socket.UDP}, {netsh.IPv6, socket.UDP}}
}
