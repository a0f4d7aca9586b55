package testnet

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
)

// Load is a set of open sockets in a namespace, by state, and a churn of connections. All
// of them are on loopback.
type Load struct {
	// TimeWait sockets from clients that closed first, to 127.1.x.y:80. On Linux they
	// always last 60 s.
	TimeWait int
	// Established sockets without a peer (TCP_REPAIR), to 127.101.x.y:443.
	Established int
	// Established6 sockets are the same over IPv6, to [::1], a port per destination.
	Established6 int
	// CloseWait sockets of clients that don't close, to 127.2.x.y:82. Their servers
	// are in FIN_WAIT2 for net.ipv4.tcp_fin_timeout.
	CloseWait int
	// SynSent sockets of clients that are not answered, to 127.9.x.y:81.
	SynSent int
	// Inbound sockets are the server's ends of connections to a listener at
	// 127.0.0.1:8080, ESTABLISHED, without a peer (TCP_REPAIR).
	Inbound int
	// Destinations is the number of destinations over which each state is spread in
	// turn. 0 means one for each 4,000 sockets of a state.
	Destinations int
	Churn        Churn

	part int // 1 and up: part of a larger load, whose process has the listeners
}

// Churn opens and closes connections at a steady rate.
type Churn struct {
	// Rate is in connections a second; 0 means no churn.
	Rate int
	// Attempts is the number of connections it tries to open; 0 means no limit. The
	// churn ends when the last of them is closed.
	Attempts int
	// To lists the destinations, which take turns; the default is 127.3.0.0:83. They
	// must be addresses of the namespace that the churn runs in.
	To []netip.AddrPort
	// Lifetime is the time for which each connection stays open. Then the client closes
	// it first, or with Reset it is closed by RST, which leaves no TIME_WAIT.
	Lifetime time.Duration
	Reset    bool
}

// socketsPerDestination is the default number of sockets to one destination.
const socketsPerDestination = 4000

// The addresses of the states' first destinations.
var (
	timeWaitDestination    = netip.MustParseAddrPort("127.1.0.0:80")
	synSentDestination     = netip.MustParseAddrPort("127.9.0.0:81")
	closeWaitDestination   = netip.MustParseAddrPort("127.2.0.0:82")
	churnDestination       = netip.MustParseAddrPort("127.3.0.0:83")
	establishedDestination = netip.MustParseAddrPort("127.101.0.0:443")
	inboundListener        = netip.MustParseAddrPort("127.0.0.1:8080")
)

// maxDestinations is the number of addresses in 127.n.x.y.
const maxDestinations = 1 << 16

// maxInbound limits the clients of every part to a 127.n of its own.
const maxInbound = 500_000

// countDestinations returns the number of destinations for n sockets of a state.
func (l Load) countDestinations(n int) int {
	if l.Destinations > 0 {
		return l.Destinations
	}
	return max(1, (n+socketsPerDestination-1)/socketsPerDestination)
}

// destinationAt returns the i-th destination from first, whose last two octets are 0.
func destinationAt(first netip.AddrPort, i int) netip.AddrPort {
	a := first.Addr().As4()
	a[2], a[3] = byte(i>>8), byte(i)
	return netip.AddrPortFrom(netip.AddrFrom4(a), first.Port())
}

// descriptorCounts returns the counts that need a descriptor for each socket.
func (l *Load) descriptorCounts() []*int {
	return []*int{&l.Established, &l.Established6, &l.CloseWait, &l.SynSent, &l.Inbound}
}

// splitParts moves the sockets that need descriptors to parts of at most limit each, and
// leaves the rest in l. It does nothing when all of them fit.
func (l *Load) splitParts(limit int) []Load {
	total := 0
	for _, n := range l.descriptorCounts() {
		total += *n
	}
	if total <= limit {
		return nil
	}
	var parts []Load
	for kind, n := range l.descriptorCounts() {
		dests := l.countDestinations(*n)
		for *n > 0 {
			p := Load{Destinations: dests, part: len(parts) + 1}
			*p.descriptorCounts()[kind] = min(*n, limit)
			*n -= *p.descriptorCounts()[kind]
			parts = append(parts, p)
		}
	}
	return parts
}

func (l Load) checkLimits() error {
	counts := map[string]int{
		"TIME_WAIT": l.TimeWait, "ESTABLISHED": l.Established, "IPv6 ESTABLISHED": l.Established6,
		"CLOSE_WAIT": l.CloseWait, "SYN_SENT": l.SynSent, "inbound": l.Inbound, "destinations": l.Destinations,
		"churn rate": l.Churn.Rate, "churn attempts": l.Churn.Attempts,
	}
	for name, n := range counts {
		if n < 0 {
			return fmt.Errorf("%s is %d: use 0 or more", name, n)
		}
	}
	if l.Destinations > maxDestinations {
		return fmt.Errorf("%d destinations: use at most %d", l.Destinations, maxDestinations)
	}
	if l.Inbound > maxInbound {
		return fmt.Errorf("%d inbound connections: use at most %d", l.Inbound, maxInbound)
	}
	if l.Churn.Lifetime < 0 {
		return fmt.Errorf("lifetime is %v: use 0 or more", l.Churn.Lifetime)
	}
	return nil
}

// encodedLoad is the JSON of a load for a child process.
type encodedLoad struct {
	Load Load
	Part int
}

func (l Load) encodeLoad() (string, error) {
	b, err := json.Marshal(encodedLoad{l, l.part})
	return string(b), err
}

func decodeLoad(s string) (Load, error) {
	var w encodedLoad
	if err := json.Unmarshal([]byte(s), &w); err != nil {
		return Load{}, fmt.Errorf("load %q: %w", s, err)
	}
	w.Load.part = w.Part
	return w.Load, nil
}
