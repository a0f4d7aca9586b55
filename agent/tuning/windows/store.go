// Package windows reads and writes the settings of a Windows machine: registry values, the
// settings of netsh, and TCP's auto-reuse range.
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
	"portreeve.io/portreeve/agent/windows/powershell"
	"portreeve.io/portreeve/internal/settings"
)

// Registry is a registry key with its values of type REG_DWORD.
type Registry interface {
	// Get returns a value, or nil if the key has none of that name. The error is
	// plan.ErrForeign if it has another type, fs.ErrNotExist if there is no key.
	Get(name string) (*uint32, error)
	Set(name string, value uint32) error
	Delete(name string) error
	// CheckWritable returns an error if values cannot be set.
	CheckWritable() error
}

// Store is a tuning.Store of a Windows machine.
type Store struct {
	registry Registry
	netsh    netsh.Client
	shell    powershell.Client
	now      func() time.Time

	mu       sync.Mutex
	readings map[string]cachedReading // of netsh and PowerShell, by key
	refused  map[string]refusedWrite
}

// cachedReading is a result of netsh or PowerShell, refusedWrite an error of it. Starting
// these takes longer than the rest of a cycle, so both are cached.
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

// netshCacheTime is the time for which results of netsh are cached, shellCacheTime that for
// which results of PowerShell are, which takes more CPU time.
const (
	netshCacheTime = time.Minute
	shellCacheTime = 10 * time.Minute
)

// New returns a Store of the values in TCP/IP's registry key, the settings of netsh, and
// those of PowerShell.
func New(tcpip Registry, client netsh.Client, shell powershell.Client, now func() time.Time) *Store {
	return &Store{registry: tcpip, netsh: client, shell: shell, now: now,
		readings: map[string]cachedReading{}, refused: map[string]refusedWrite{}}
}

// Read implements Store.
func (s *Store) Read(key string) plan.Reading {
	if name, ok := strings.CutPrefix(key, settings.TcpipParameters); ok {
		return s.readValue(name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.readings[key]
	if !ok || s.now().Sub(r.at) >= findCacheTime(key) {
		r = cachedReading{s.readUncached(key), s.now()}
		s.readings[key] = r
	}
	return r.Reading
}

func findCacheTime(key string) time.Duration {
	if key == settings.KeyAutoReusePorts {
		return shellCacheTime
	}
	return netshCacheTime
}

func (s *Store) readUncached(key string) plan.Reading {
	if key == settings.KeyAutoReusePorts {
		return s.readAutoReuse()
	}
	return s.readNetsh(key)
}

// Refresh implements tuning's refresher. It keeps the cache if every write would be
// refused from the cache.
func (s *Store) Refresh(writes []plan.Write) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, write := range writes {
		if !s.isRefused(write) {
			s.readings = map[string]cachedReading{}
		}
	}
}

func (s *Store) isRefused(write plan.Write) bool {
	r, ok := s.refused[write.Key]
	return ok && r.value == write.Value && s.now().Sub(r.at) < findCacheTime(write.Key)
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

// readNetsh reads each part of a setting of netsh.
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
	return plan.Reading{Value: def.JoinParts(values), Foreign: def.JoinParts(foreign)}
}

// readPool reads one part. Exclusions of running programs are foreign; those of netsh
// are marked as administered.
func (s *Store) readPool(key string, l netshPool) plan.Reading {
	if key != settings.KeyExcludedPorts {
		r, err := s.netsh.ShowDynamicPorts(context.Background(), l.family, l.protocol)
		return plan.Reading{Value: settings.FormatBlock(r), Err: err}
	}
	all, err := s.netsh.ShowExclusions(context.Background(), l.family, l.protocol)
	theirs := slices.DeleteFunc(slices.Clone(all), func(e netsh.Exclusion) bool { return e.Administered })
	every, foreign := uniteExclusions(all), uniteExclusions(theirs)
	return plan.Reading{Value: every.String(), Foreign: foreign.String(), Err: err}
}

// Write implements Store.
func (s *Store) Write(write plan.Write) error {
	if name, ok := strings.CutPrefix(write.Key, settings.TcpipParameters); ok {
		return s.writeValue(name, write.Value)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isRefused(write) {
		return s.refused[write.Key].err
	}
	delete(s.readings, write.Key)
	delete(s.refused, write.Key)
	err := s.writeNetsh(write)
	if err != nil {
		s.refused[write.Key] = refusedWrite{value: write.Value, err: err, at: s.now()}
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

func (s *Store) writeNetsh(write plan.Write) error {
	switch write.Key {
	case settings.KeyDynamicPortsTCP, settings.KeyDynamicPortsUDP:
		return s.setDynamicPorts(write)
	case settings.KeyExcludedPorts:
		return s.setExclusions(write)
	case settings.KeyAutoReusePorts:
		return s.setAutoReuse(write)
	}
	return fmt.Errorf("%.80q: not a known setting of Windows", write.Key)
}

// netshPool identifies one range and one exclusion list of netsh.
type netshPool struct {
	family   netsh.Family
	protocol socket.Protocol
}

// listPools returns the pools of key, in the order of its parts in the catalogue.
func listPools(key string) []netshPool {
	switch key {
	case settings.KeyDynamicPortsTCP:
		return []netshPool{{netsh.IPv4, socket.TCP}, {netsh.IPv6, socket.TCP}}
	case settings.KeyDynamicPortsUDP:
		return []netshPool{{netsh.IPv4, socket.UDP}, {netsh.IPv6, socket.UDP}}
	}
	return []netshPool{{netsh.IPv4, socket.TCP}, {netsh.IPv6, socket.TCP},
		{netsh.IPv4, socket.UDP}, {netsh.IPv6, socket.UDP}}
}
