package main

import (
	"portreeve.io/portreeve/agent/notify"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// whyOf is what status, that of s, says of the pools past the line.
func whyOf(s *socket.Sample, status *v1alpha1.PortPressureStatus) func(socket.Pool) notify.Why {
	return func(p socket.Pool) notify.Why {
		if tightest, ok := s.Tightest(); ok && socket.Compare(tightest, p) == 0 {
			return notify.Why{Cause: status.Cause, Text: status.Advice}
		}
		for _, n := range status.Networks {
			if n.UID == p.Network.Owner.PodUID {
				return notify.Why{Cause: n.Cause}
			}
		}
		return notify.Why{}
	}
}
