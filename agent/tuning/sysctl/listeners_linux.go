package sysctl

import (
	"cmp"
	"fmt"

	"portreeve.io/portreeve/agent/readers/sockdiag"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// ReadListeners returns the listening ports in the calling thread's network namespace.
// read reads its sysctls.
func ReadListeners(read func(key string) plan.Reading) ([]ports.Range, error) {
	r := read(settings.KeyLocalPortRange)
	ephemeral, err := settings.ParseSpan(r.Value)
	if err := cmp.Or(r.Err, err); err != nil {
		return nil, fmt.Errorf("read the range of ports: %w", err)
	}
	return sockdiag.ListListeningPorts(ephemeral)
}
