package tuning

import (
	"net/netip"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/tcpstate"
)

// load has the sockets of the host to one destination, by the settings of the kernel.
type load func(sysctls map[string]string) (established, timeWait, reusable uint32)

// sampleLoad returns the sample of a load.
func (m *machine) sampleLoad(l load) *socket.Sample {
	d := socket.Destination{Address: netip.MustParseAddr("10.0.0.9"), Port: 443}
	var established, timeWait uint32
	established, timeWait, d.Reusable = l(m.sysctls)
	d.States[tcpstate.Established], d.States[tcpstate.TimeWait], d.ReusableIfAll = established, timeWait, timeWait
	span, _ := settings.ParseSpan(m.sysctls[rangeKey])
	reserved := parsePorts(m.sysctls[reserveKey])
	return &socket.Sample{Networks: []socket.Network{{Owner: socket.Owner{Kind: socket.OwnerHost}, Detailed: true,
		Settings: socket.Settings{Range: span, Reserved: reserved.CountIn(span)}, Destinations: []socket.Destination{d}}}}
}

// countChanges returns how often a value changes under a load, one tick after another.
func (m *machine) countChanges(key string, l load, ticks int) (changes int) {
	for range ticks {
		m.clock = m.clock.Add(30 * time.Second)
		p, _ := m.sampleLoad(l).WithBaselines(m.FindBaseline).TightestPool()
		m.base = socket.NextLevel(v1alpha1.Thresholds{}, m.base, p.UsedPercent())
		m.SetLevel(m.base)
		before := m.sysctls[key]
		if m.runCycle(); m.sysctls[key] != before {
			changes++
		}
	}
	return changes
}

func TestAConstantLoadDoesNotMakeASettingOscillate(t *testing.T) {
	const day = 24 * 120
	tests := map[string]struct {
		key, value string
		load       load
		most       int
	}{
		"A range that removes the pressure": {rangeKey, "16384 65535", func(map[string]string) (uint32, uint32, uint32) { return 17000, 0, 0 }, 1},
		"Reuse that removes the pressure": {settings.KeyTCPTWReuse, "1", func(sysctls map[string]string) (uint32, uint32, uint32) {
			if sysctls[settings.KeyTCPTWReuse] == "1" {
				return 1000, 20000, 20000
			}
			return 1000, 20000, 0
		}, 1},
		"An effect that cannot be computed": {finTimeout, "30", func(sysctls map[string]string) (uint32, uint32, uint32) {
			if sysctls[finTimeout] == "30" {
				return 10000, 0, 0
			}
			return 17000, 0, 0
		}, 16},
		"A load without pressure": {rangeKey, "16384 65535", func(map[string]string) (uint32, uint32, uint32) { return 12000, 0, 0 }, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine()
			w := newSetting(test.key, test.value)
			w.Activation, w.CoolDownSeconds = v1alpha1.ActivationUnderPressure, 600
			m.applySettings(w)
			if changes := m.countChanges(test.key, test.load, day); changes > test.most || test.most > 0 && changes == 0 {
				t.Errorf("%d changes in a day, want at most %d; %v", changes, test.most, m.formatStatuses())
			}
		})
	}
}

func TestASettingIsRestoredWhenTheLoadEnds(t *testing.T) {
	m := newMachine()
	w := newSetting(rangeKey, "16384 65535")
	w.Activation, w.CoolDownSeconds = v1alpha1.ActivationUnderPressure, 600
	m.applySettings(w)
	use := func(ports uint32) load {
		return func(map[string]string) (uint32, uint32, uint32) { return ports, 0, 0 }
	}
	for _, step := range []struct {
		ports          uint32
		ticks, changes int
	}{
		{17000, 40, 1},  // 60 % of the original range
		{13000, 120, 0}, // 46 %, within the hysteresis
		{12000, 20, 0},  // 42 %, within the cool-down
		{12000, 20, 1},
		{17000, 1, 1},
		{12000, 35, 0}, // the second cool-down is twice as long
		{12000, 20, 1},
	} {
		if changes := m.countChanges(rangeKey, use(step.ports), step.ticks); changes != step.changes {
			t.Errorf("%d ports for %d ticks: %d changes, want %d; %v", step.ports, step.ticks, changes, step.changes, m.formatStatuses())
		}
	}
	if m.FindBaseline(&socket.Network{Owner: socket.Owner{Kind: socket.OwnerHost}}) != nil {
		t.Error("a network with its original range has a baseline")
	}
}
