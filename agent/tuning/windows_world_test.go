package tuning

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// windowsWorld simulates a Windows machine: its registry, the settings of netsh, and its
// disk.
type windowsWorld struct {
	*world
	values   map[string]any // uint32, or something else for other types
	live     map[string]any // values that are in effect since the start of the machine
	ranges   map[netshPool]ports.Range
	excluded map[netshPool][]netsh.Exclusion
	// coupled makes an exclusion apply to both families.
	coupled bool
	// refuses has the pools that netsh refuses to change.
	refuses map[netshPool]bool
	denied  bool // the registry can't be written
	// autoReuse is the auto-reuse range, nil for none.
	autoReuse *ports.Range
	runs      int
}

// netshPool is a family and a protocol, for which netsh keeps one range and one list.
type netshPool struct {
	family   netsh.Family
	protocol socket.Protocol
}

var everyPool = []netshPool{{netsh.IPv4, socket.TCP}, {netsh.IPv6, socket.TCP}, {netsh.IPv4, socket.UDP}, {netsh.IPv6, socket.UDP}}

func portsOf(list []netsh.Exclusion) (p ports.Set) {
	for _, e := range list {
		p.AddRange(e.Range)
	}
	return p
}

func newWindowsWorld() *windowsWorld {
	w := &windowsWorld{world: newWorld(), values: map[string]any{"TcpTimedWaitDelay": uint32(120), "Odd": "a string"},
		ranges: map[netshPool]ports.Range{}, excluded: map[netshPool][]netsh.Exclusion{}, refuses: map[netshPool]bool{}}
	for _, l := range everyPool {
		w.ranges[l] = ports.Range{First: 49152, Last: 65535}
	}
	w.live, w.writesThrough = maps.Clone(w.values), true
	return w
}

// restartMachine restarts the machine: every value stays and takes effect.
func (w *windowsWorld) restartMachine(powerLoss bool) {
	w.rebootMachine(powerLoss)
	w.live = maps.Clone(w.values)
}

func (w *windowsWorld) Get(name string) (*uint32, error) {
	switch v := w.values[name].(type) {
	case nil:
		return nil, nil
	case uint32:
		return &v, nil
	}
	return nil, fmt.Errorf("%w: it is there as REG_SZ", plan.ErrForeign)
}

func (w *windowsWorld) Set(name string, value uint32) error {
	w.countStep()
	if w.denied {
		return errors.New("Access is denied.") //nolint:revive // Windows' words
	}
	w.kernelWrites++
	w.wrote(settings.TcpipParameters+name, strconv.Itoa(int(value)))
	w.values[name] = value
	w.countStep()
	return nil
}

func (w *windowsWorld) Delete(name string) error {
	w.countStep()
	w.kernelWrites++
	w.wrote(settings.TcpipParameters+name, settings.Unset)
	delete(w.values, name)
	w.countStep()
	return nil
}

func (w *windowsWorld) CheckWritable() error { return nil }

// runNetsh simulates netsh.exe.
func (w *windowsWorld) runNetsh(_ context.Context, args ...string) ([]byte, error) {
	w.runs++
	l := netshPool{family: netsh.Family(args[1])}
	if strings.HasSuffix(args[4], "udp") {
		l.protocol = netsh.Protocols[1]
	}
	if args[2] == "show" {
		return []byte(w.formatListing(l, args[3])), nil
	}
	w.countStep()
	if w.refuses[l] || args[3] == "dynamicport" && parseNumber(args[5]) < 1025 {
		return nil, errors.New("The parameter is incorrect.") //nolint:revive // Windows' words
	}
	w.kernelWrites++
	r := ports.Range{First: uint16(parseNumber(args[5])), Last: uint16(parseNumber(args[5]) + parseNumber(args[6]) - 1)}
	if args[3] == "dynamicport" {
		w.ranges[l] = r
	} else if err := w.applyExclusion(args[2], l, netsh.Exclusion{Range: r, Administered: true}); err != nil {
		return nil, err
	}
	w.wrote(args[3], strings.Join(args, " "))
	w.countStep()
	return []byte("Ok."), nil
}

// runPowerShell simulates powershell.exe.
func (w *windowsWorld) runPowerShell(_ context.Context, args ...string) ([]byte, error) {
	var first, count int
	script := args[len(args)-1]
	_, set, isSet := strings.Cut(script, "Set-NetTCPSetting ")
	if !isSet {
		if w.autoReuse != nil {
			first, count = int(w.autoReuse.First), w.autoReuse.Len()
		}
		return fmt.Appendf(nil, `[{"SettingName":"Automatic"},{"SettingName":"InternetCustom","AutoReusePortRangeStartPort":%d,"AutoReusePortRangeNumberOfPorts":%d}]`, first, count), nil
	}
	if _, err := fmt.Sscanf(set, "-SettingName InternetCustom -AutoReusePortRangeStartPort %d -AutoReusePortRangeNumberOfPorts %d", &first, &count); err != nil {
		return nil, err
	}
	w.countStep()
	w.kernelWrites++
	w.autoReuse = nil
	if count > 0 {
		w.autoReuse = &ports.Range{First: uint16(first), Last: uint16(first + count - 1)}
	}
	w.wrote(settings.KeyAutoReusePorts, set)
	w.countStep()
	return nil, nil
}

func parseNumber(arg string) int {
	_, digits, _ := strings.Cut(arg, "=")
	n, _ := strconv.Atoi(digits)
	return n
}

func (w *windowsWorld) formatListing(l netshPool, what string) string {
	if what == "dynamicport" {
		return fmt.Sprintf("\nPorts\n---------------------------------\nStart : %d\nCount : %d\n\n", w.ranges[l].First, w.ranges[l].Len())
	}
	text := "\nPorts\n\nStart    End\n----------    --------\n"
	for _, e := range w.excluded[l] {
		text += fmt.Sprintf("%d %d", e.First, e.Last)
		if e.Administered {
			text += " *"
		}
		text += "\n"
	}
	return text + "\n* - Administered.\n"
}

// applyExclusion adds an exclusion or deletes a whole one.
func (w *windowsWorld) applyExclusion(verb string, l netshPool, e netsh.Exclusion) error {
	of := []netshPool{l}
	if w.coupled {
		of = []netshPool{{netsh.IPv4, l.protocol}, {netsh.IPv6, l.protocol}}
	}
	for _, l := range of {
		i := slices.Index(w.excluded[l], e)
		overlaps := slices.ContainsFunc(w.excluded[l], func(o netsh.Exclusion) bool { return o.First <= e.Last && e.First <= o.Last })
		switch {
		case verb == "add" && overlaps:
			return errors.New("The process cannot access the file because it is being used by another process.") //nolint:revive // Windows' words
		case verb == "add":
			w.excluded[l] = append(slices.Clone(w.excluded[l]), e)
		case i < 0:
			return errors.New("The system cannot find the file specified.") //nolint:revive // Windows' words
		default:
			w.excluded[l] = slices.Delete(slices.Clone(w.excluded[l]), i, i+1)
		}
	}
	return nil
}

// excludedPorts returns the ports of a list.
func (w *windowsWorld) excludedPorts(l netshPool) string {
	p := portsOf(w.excluded[l])
	return p.String()
}
