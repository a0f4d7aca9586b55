package cause

import (
	"math/rand/v2"
	"reflect"
	"regexp"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// The terms that advice about the other operating system must not contain.
var (
	linuxTerms = regexp.MustCompile(`linux\.|net\.(ipv4|core|netfilter)|sysctl|[Cc]onn(ection )?track|fs\.file-max|ulimit|LimitNOFILE|RLIMIT|` +
		`\btcp_[a-z]|TCP_USER_TIMEOUT|IP_BIND_ADDRESS_NO_PORT|\bss -|EMFILE|ENFILE|--to-ports|TCP timestamps`)
	windowsTerms = regexp.MustCompile(`windows\.|netsh|dynamicport|excludedport|WSA|registry|MaxUserPort|TcpTimedWait|KeepAliveTime|` +
		`UNICASTPORT|TCP_MAXRT|poolmon|[Nn]onpaged|Windows`)
)

// TestAdviceNamesNothingOfAnotherSystem evaluates random evidence in which every field may
// be set, whatever the system.
func TestAdviceNamesNothingOfAnotherSystem(t *testing.T) {
	for name, tt := range map[string]struct {
		System
		foreign  *regexp.Regexp
		mayBeAll bool // whether every cause is possible
	}{
		"Linux":                {System{}, windowsTerms, true},
		"Windows":              {System{IsWindows: true}, linuxTerms, false},
		"Windows with a delay": {System{IsWindows: true, TimeWait: 2 * time.Minute}, linuxTerms, false},
		"Windows 2003":         {System{IsWindows: true, UsesMaxUserPort: true}, linuxTerms, false},
	} {
		t.Run(name, func(t *testing.T) {
			found := map[v1alpha1.Cause]bool{}
			for seed := range uint64(6000) {
				e := drawEvidence(rand.New(rand.NewPCG(seed, 1)))
				e.System = tt.System
				d := EvaluatePool(e)
				found[d.Cause] = true
				if term := tt.foreign.FindString(d.Advice()); term != "" {
					t.Fatalf("seed %d: %s: the advice names %q: %s", seed, d.Cause, term, d.Advice())
				}
			}
			for _, c := range Causes {
				if tt.mayBeAll && !found[c.Cause] {
					t.Errorf("no evidence has the cause %s", c.Cause)
				}
			}
		})
	}
}

// drawEvidence returns random evidence. One state has most of the ports, so that every
// cause occurs.
func drawEvidence(r *rand.Rand) Evidence {
	ranges := []ports.Range{{First: 32768, Last: 60999}, {First: 49152, Last: 65535}, {First: 1025, Last: 5000}, {First: 10000, Last: 65535}}
	s := standard
	s.Range = ranges[r.IntN(len(ranges))]
	kinds := []socket.OwnerKind{socket.OwnerHost, socket.OwnerPod, socket.OwnerContainer}
	capacity := s.Range.Len()
	n := &socket.Network{Settings: s, Owner: socket.Owner{Kind: kinds[r.IntN(len(kinds))]}, UDPSockets: r.IntN(2) * capacity}
	destination := socket.Destination{Source: home, Address: peer, Port: 5432}
	draw := func(limit int) int { return r.IntN(limit + 1) }
	destination.States[tcpstate.State(1+r.IntN(11))] = uint32(draw(capacity))
	destination.States[tcpstate.TimeWait] += uint32(draw(1) * draw(capacity/4))
	destination.ReusableIfAll = uint32(draw(int(destination.States[tcpstate.TimeWait])))
	if n.Skipped = draw(1) * draw(capacity); n.Skipped > 0 {
		n.SkippedListening = draw(1) * draw(n.Skipped)
		n.ListenPorts = []uint16{s.Range.First, s.Range.First + 7}
	}
	n.States, n.Destinations = destination.States, []socket.Destination{destination}
	n.InUse = n.Skipped + n.States.Total()
	e := Evidence{Network: "shop/api", AboveThreshold: r.IntN(3) > 0, Holder: &v1alpha1.Holder{Process: "api", PID: 4711}}
	pools := append(sortPools(n), socket.Pool{Network: n, Kind: socket.SNAT, Destination: &destination, Capacity: int32(draw(64512)), Used: 60})
	e.Pool = pools[r.IntN(len(pools))]
	fillRandomly(r, reflect.ValueOf(&e.Machine).Elem())
	if !e.AboveThreshold {
		e.drawNetworks(r, n)
	}
	if r.IntN(2) > 0 {
		e.PoolDetail = &socket.PoolDetail{}
		fillRandomly(r, reflect.ValueOf(e.PoolDetail).Elem())
		e.PoolDetail.Holders = []socket.Holder{{PID: 4711, Sockets: draw(capacity), OpenFiles: draw(1000), MaxFiles: 1000}}
	}
	return e
}

// drawNetworks adds random limits other than ports, at most one of them reached.
func (e *Evidence) drawNetworks(r *rand.Rand, n *socket.Network) {
	e.Machine.Neighbours = [2]NeighbourTable{}
	process := socket.Process{Name: "api", PID: 4711}
	n.Settings.MaxTimeWait = 1 << 20
	n.ListenPorts = nil
	state := NetworkState{Network: n, Name: "shop/api"}
	if r.IntN(2) > 0 {
		e.Machine = Machine{}
	}
	switch r.IntN(9) {
	case 0:
		n.Evidence.AcceptQueues = []socket.AcceptQueue{{Length: r.IntN(200), Limit: 128, Process: process}}
	case 1:
		n.Evidence.CloseWait = []socket.CloseWaitGroup{{Sockets: r.IntN(200), Process: process, Peers: r.IntN(3)}}
	case 2:
		e.FileUsage = []socket.FileUsage{{Process: process, Open: 900 + r.IntN(100), Max: 1000}}
	case 3:
		n.Settings.MaxTimeWait = 1 + r.IntN(1000)
		n.States[tcpstate.TimeWait] = 1000
	case 4:
		e.Machine.Neighbours[r.IntN(2)] = NeighbourTable{Usage: Usage{1000, 1024}}
	case 5:
		n.Evidence.Privileged = new(r.IntN(359))
	case 6:
		state.Recent = RecentCounts{ListenOverflows: r.Uint64N(20), TimeWaitOverflows: r.Uint64N(20), Refused: r.Uint64N(2)}
	case 7:
		n.Evidence.IsIPv6Off, state.Recent.Refused = new(true), r.Uint64N(2)
	}
	e.Networks = []NetworkState{state}
	if c, ok := FindCollision(state, ports.Range{First: 30000, Last: 32767}, e.System); ok {
		e.Collisions = []Collision{c}
	}
}

// fillRandomly sets some of the numbers in v.
func fillRandomly(r *rand.Rand, v reflect.Value) {
	for _, f := range v.Fields() {
		switch f.Kind() {
		case reflect.Struct:
			if f.Type() == reflect.TypeFor[Usage]() {
				f.Set(reflect.ValueOf(Usage{Used: r.Uint64N(200), Max: 200 * r.Uint64N(2)}))
			} else if f.CanSet() {
				fillRandomly(r, f)
			}
		case reflect.Int, reflect.Int64:
			f.SetInt(r.Int64N(2) * r.Int64N(40000))
		case reflect.Uint64, reflect.Uint32:
			f.SetUint(r.Uint64N(2) * r.Uint64N(40000))
		case reflect.Float64:
			f.SetFloat(r.Float64())
		}
	}
}
