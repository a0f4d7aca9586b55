package dump

import (
	"fmt"
	"time"

	"portreeve.io/portreeve/agent/readers/osdefaults"
	"portreeve.io/portreeve/internal/ports"
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

// Options contains the facts that a dump does not.
type Options struct {
	// System is one of SystemNames. If empty, it is guessed from the format.
	System string
	// MaxUserPort is the registry value of this name, 0 for unset.
	MaxUserPort int
	// Range is the ephemeral range. The zero value means the default of System.
	Range ports.Range
	// Taken is when the dump was made.
	Taken time.Time
}

// resolveRange returns the system and the range of a dump in format f.
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
		err = fmt.Errorf("--max-user-port %w; set any other range with --range", err)
	}
	return s, r, err
}

// Validate returns an error if o is invalid. Read validates the parts that depend on the
// format.
func (o Options) Validate() error {
	if o.System == "" {
		return nil
	}
	_, _, err := o.resolveRange("")
	return err
}
