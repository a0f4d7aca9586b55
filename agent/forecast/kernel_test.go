package forecast_test

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// step is the time resolution of the kernel model.
const step = 100 * time.Millisecond

var start = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

// load describes the use of one pool by programs. The functions take the seconds since
// the start.
type load struct {
	capacity   int
	persistent func(t float64) float64 // ports that stay in use, if available
	churn      func(t float64) float64 // connects per second that end in TIME_WAIT
	lifetime   float64                 // seconds until those close
	jitter     float64                 // error of the reader, as a share of the used ports
	reuse      bool                    // TIME_WAIT older than a second counts as reusable
}

// simulatedKernel simulates the kernel for one pool. It grants or refuses ports, and
// TIME_WAIT ends after 60 to 62 s, because the timer wheel is coarse.
type simulatedKernel struct {
	load
	random     *rand.Rand
	now        float64 // seconds
	persistent int
	open       []socketBatch // open connections, with the time of their close
	wait       []socketBatch // TIME_WAIT, with the time of its start
	opened     int           // sockets in open
	waits      int           // sockets in wait
	failed     int
}

type socketBatch struct {
	at float64
	n  int
}

// countUsed returns the number of ports that connect() cannot take.
func (k *simulatedKernel) countUsed() int {
	return k.persistent + k.opened + k.waits - k.countReusable()
}

// countReusable returns the number of sockets in TIME_WAIT whose ports connect() would reuse.
func (k *simulatedKernel) countReusable() int {
	if !k.reuse {
		return 0
	}
	old := 0
	for _, w := range k.wait {
		if w.at <= k.now-1 {
			old += w.n
		}
	}
	return old
}

// advanceStep advances the simulation by one step.
func (k *simulatedKernel) advanceStep() {
	dt := step.Seconds()
	k.now += dt
	life := 60 + 2*k.random.Float64()
	for len(k.wait) > 0 && k.wait[0].at+life <= k.now {
		k.waits -= k.wait[0].n
		k.wait = k.wait[1:]
	}
	for len(k.open) > 0 && k.open[0].at <= k.now {
		k.opened -= k.open[0].n
		k.waits += k.open[0].n
		k.wait = append(k.wait, socketBatch{k.now, k.open[0].n})
		k.open = k.open[1:]
	}
	want := int(k.load.persistent(k.now))
	if want > k.persistent {
		k.persistent += k.takePorts(want - k.persistent)
	} else {
		k.persistent = want
	}
	if n := k.takePorts(k.drawPoisson(k.churn(k.now) * dt)); n > 0 {
		k.opened += n
		k.open = append(k.open, socketBatch{k.now + k.lifetime, n})
	}
}

func (k *simulatedKernel) takePorts(n int) int {
	got := min(n, k.capacity-k.countUsed())
	k.failed += n - got
	for over := got + k.persistent + k.opened + k.waits - k.capacity; over > 0; { // ports that are reused from TIME_WAIT
		gone := min(over, k.wait[0].n)
		k.wait[0].n -= gone
		k.waits -= gone
		if over -= gone; k.wait[0].n == 0 {
			k.wait = k.wait[1:]
		}
	}
	return got
}

func (k *simulatedKernel) drawPoisson(mean float64) int {
	if mean <= 0 {
		return 0
	}
	if mean > 30 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*k.random.NormFloat64())))
	}
	n := 0
	for p := math.Exp(-mean); ; n++ {
		if p *= 1 / (1e-12 + k.random.Float64()); p >= 1 {
			return n
		}
	}
}

// newSample returns the sample of a reader, including its error.
func (k *simulatedKernel) newSample() socket.Sample {
	shake := func(n int) uint32 {
		return uint32(max(0, math.Round(float64(n)*(1+k.jitter*k.random.NormFloat64()))))
	}
	d := socket.Destination{Source: netip.MustParseAddr("10.0.0.4"), Address: netip.MustParseAddr("10.0.0.9"), Port: 5432}
	d.States[tcpstate.Established] = shake(k.persistent + k.opened)
	d.States[tcpstate.TimeWait] = shake(k.waits)
	if k.countUsed() == k.capacity {
		d.States[tcpstate.Established], d.States[tcpstate.TimeWait] = uint32(k.persistent+k.opened), uint32(k.waits)
	}
	d.Reusable = uint32(max(0, int(d.States[tcpstate.TimeWait])-(k.waits-k.countReusable())))
	if !k.reuse {
		d.Reusable = 0
	}
	return socket.Sample{
		Taken: start.Add(time.Duration(k.now * float64(time.Second))),
		Networks: []socket.Network{{
			Inode: 4026532001, Detailed: true,
			Settings:     socket.Settings{Range: ports.Range{First: 1024, Last: 1023 + uint16(k.capacity)}},
			Destinations: []socket.Destination{d},
		}},
	}
}
