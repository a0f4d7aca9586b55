package dump

import (
	"fmt"
	"strings"
	"time"

	"portreeve.io/portreeve/agent/readers/osdefaults"
	"portreeve.io/portreeve/internal/ports"
)

// SystemNames are what Options.System takes; "windows" is ephemeral.Windows.
func SystemNames() []string {
	var names []string
	for _, s := range osdefaults.Systems {
		names = append(names, s.Name)
	}
	return append(names, "windows")
}

// Options are what a dump doesn't say.
type Options struct {
	// System is one of SystemNames; empty means to guess by the format.
	System string
	// MaxUserPort is the registry value of this name, 0 for unset.
	MaxUserPort int
	// Range is the ephemeral range; the zero value means that of System.
	Range ports.Range
	// Taken is when the dump was made.
	Taken time.Time
}

// resolveRange decides on the system and the range of a dump in format f.
func (o Options) resolveRange(f Format) (osdefaults.System, ports.Range, error) {
	name := o.System
	if name == "" {
		if name = osdefaults.Linux; f.isWindows() {
			name = osdefaults.Windows
		}
	}
	s := osdefaults.FindSystem(name)
	if o.Range != (ports.Range{}) {
		return s, o.Range, nil
	}
	r, err := s.ComputeRange(o.MaxUserPort)
	if err != nil {
		err = fmt.Errorf("--max-user-port %w; --range says any other range", err)
	}
	return s, r, err
}

// Validate says what is wrong with o; what depends on a guess shows in Read.
func (o Options) Validate() error {
	if o.System == "" {
		return nil
	}
	_, _, err := o.resolveRange("")
	return err
}

// ParseRange reads FIRST-LAST.
func ParseRange(text string) (ports.Range, error) {
	var r ports.Range
	first, last, ok := strings.Cut(text, "-")
	a, okA := parseNumber([]byte(first))
	b, okB := parseNumber([]byte(last))
	if !ok || !okA || !okB || a < 1 || a > b || b > 65535 {
		return r, fmt.Errorf("%q is no range of ports such as 32768-60999", text)
	}
	return ports.Range{First: uint16(a), Last: uint16(b)}, nil
}
