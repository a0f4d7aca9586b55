package tuning

import (
	"cmp"
	"fmt"

	"portreeve.io/portreeve/agent/readers/sockdiag"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// Listeners are the ports that services have in the calling thread's network, whose
// sysctls are s.
func Listeners(s Store) ([]ports.Range, error) {
	r := s.Read("net.ipv4.ip_local_port_range")
	ephemeral, err := settings.ParseSpan(r.Value)
	if err := cmp.Or(r.Err, err); err != nil {
		return nil, fmt.Errorf("read the range of ports: %w", err)
	}
	return sockdiag.Listening(ephemeral)
}
