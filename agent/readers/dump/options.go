package dump

import (
	"fmt"
	"strings"
	"time"

	"portreeve.io/portreeve/agent/readers/osdefaults"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// SystemNames returns the valid values of Options.System. "windows" is short for
// osdefaults.Windows.
func SystemNames() []string {
	var names []string
	for _, s := range osdefaults.Systems {
		names = append(names, s.Name)
	}
	return append(names, "windows")
}

// NetworkNames returns the valid values of Options.Network.
func NetworkNames() []string { return []string{"host", "pod"} }

// stateUDP is the value of Options.State for UDP sockets.
const stateUDP = "udp"

// Options contains the facts that a dump does not.
type Options struct {
	// System is one of SystemNames. If empty, it is guessed from the format.
	System string
	// MaxUserPort is the registry value of this name, 0 for unset.
	MaxUserPort int
	// Range is the ephemeral range. The zero value means that of the dump, or the default of
	// System.
	Range ports.Range
	// State is the state of rows that do not show one: a TCP state as ss or netstat spells it,
	// or "udp". Empty if unknown.
	State string
	// Network is one of NetworkNames, empty if unknown.
	Network string
	// Taken is when the dump was made.
	Taken time.Time
}

// owner returns the owner of the network that the dump is of.
func (o Options) owner() socket.Owner {
	switch o.Network {
	case "host":
		return socket.Owner{Kind: socket.OwnerHost}
	case "pod":
		return socket.Owner{Kind: socket.OwnerPod}
	}
	return socket.Owner{Kind: socket.OwnerUnknown}
}

// rowState is the protocol and state of rows that show neither.
type rowState struct {
	isTCP, isUDP bool
	state        tcpstate.State
}

func (o Options) rowState() rowState {
	switch {
	case o.State == "":
		return rowState{}
	case strings.EqualFold(o.State, stateUDP):
		return rowState{isUDP: true}
	}
	s, ok := parseState([]byte(o.State))
	return rowState{isTCP: ok, state: s}
}

// resolveSystem returns the system of a dump in format f.
func (o Options) resolveSystem(f Format) osdefaults.System {
	switch {
	case o.System != "":
		return osdefaults.FindSystem(o.System)
	case f.isWindows():
		return osdefaults.FindSystem(osdefaults.Windows)
	}
	return osdefaults.FindSystem(osdefaults.Linux)
}

// ranges are the ephemeral ranges of TCP and UDP.
type ranges struct {
	tcp, udp ports.Range
	// source is the origin of tcp, empty for the default of the system.
	source string
}

// resolveRanges returns the ranges of s. The options take precedence over what was pasted with
// the dump, and netsh over the registry.
func (o Options) resolveRanges(s osdefaults.System, p *pastedFacts) (ranges, error) {
	r := ranges{tcp: s.Range, udp: s.Range}
	var err error
	switch {
	case o.Range != (ports.Range{}):
		return ranges{o.Range, o.Range, "--range"}, nil
	case o.MaxUserPort != 0:
		if r.tcp, err = s.ComputeRange(o.MaxUserPort); err != nil {
			return r, fmt.Errorf("--max-user-port %w; set any other range with --range", err)
		}
		return ranges{r.tcp, r.tcp, "MaxUserPort"}, nil
	case p.maxUserPort != 0 && s.Windows:
		if set, err := s.ComputeRange(p.maxUserPort); err == nil {
			r = ranges{set, set, "MaxUserPort in the dump"}
		}
	}
	if set := p.tcpRange; set != (ports.Range{}) {
		r.tcp, r.source = set, "from the dump"
		if !s.Windows {
			r.udp = set
		}
	}
	if p.udpRange != (ports.Range{}) {
		r.udp = p.udpRange
	}
	return r, nil
}

// Validate returns an error if o is invalid. Read validates the parts that depend on the
// format.
func (o Options) Validate() error {
	if o.State != "" && o.rowState() == (rowState{}) {
		return fmt.Errorf("--state %q: must be a TCP state, such as time-wait or established, or udp", o.State)
	}
	if o.System == "" {
		return nil
	}
	_, err := o.resolveRanges(o.resolveSystem(""), &pastedFacts{})
	return err
}
