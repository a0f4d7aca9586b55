package iphlpapi

import "portreeve.io/portreeve/agent/socket"

// readAllStatistics adds the TCP statistics of both families to w.
func readAllStatistics(w *socket.Windows) socket.Capability {
	c := socket.Capability{Name: "TcpStatistics", State: socket.CapabilityVerified}
	for _, f := range families {
		s, from, err := readStatistics(f.family)
		if err != nil {
			c.State, c.Message = socket.CapabilityUnsupported, from+": "+err.Error()
			return c
		}
		c.Message = from
		w.Statistics = append(w.Statistics, s)
	}
	return c
}
