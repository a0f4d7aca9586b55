package tuning

import (
	"cmp"
	"fmt"

	"portreeve.io/portreeve/agent/inetdiag"
	"portreeve.io/portreeve/api/tunable"
)

// Listeners are the ports that services have in the calling thread's network, whose
// sysctls are s.
func Listeners(s Store) ([]tunable.Ports, error) {
	r := s.Read("net.ipv4.ip_local_port_range")
	first, last, err := tunable.ParseSpan(r.Value)
	if err := cmp.Or(r.Err, err); err != nil {
		return nil, fmt.Errorf("read the range of ports: %w", err)
	}
	return inetdiag.Listening(tunable.Ports{First: first, Last: last})
}
