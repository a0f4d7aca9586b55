package dump

import (
	"fmt"
	"time"

	"portreeve.io/portreeve/agent/readers/ephemeral"
	"portreeve.io/portreeve/internal/ports"
)

// SystemNames are what Options.System takes; "windows" is ephemeral.Windows.
func SystemNames() []string {
	var names []string
	for _, s := range ephemeral.Systems {
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

// settle decides on the system and the range of a dump in format f.
func (o Options) settle(f Format) (ephemeral.System, ports.Range, error) {
	name := o.System
	if name == "" {
		if name = ephemeral.Linux; f.windows() {
			name = ephemeral.Windows
		}
	}
	s := ephemeral.Named(name)
	if o.Range != (ports.Range{}) {
		return s, o.Range, nil
	}
	r, err := s.RangeOf(o.MaxUserPort)
	if err != nil {
		err = fmt.Errorf("--max-user-port %w; --range says any other range", err)
	}
	return s, r, err
}

// Check says what is wrong with o; what depends on a guess shows in Read.
func (o Options) Check() error {
	if o.System == "" {
		return nil
	}
	_, _, err := o.settle("")
	return err
}
