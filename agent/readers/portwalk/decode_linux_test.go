package portwalk

import (
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// Any bytes from the BPF program are decoded without a panic, and a destination has the
// address family of its key.
func FuzzDestination(f *testing.F) {
	f.Add(uint16(2), uint16(0x5000), []byte{127, 0, 0, 1}, []byte{127, 0, 0, 2}, uint32(7))
	f.Add(uint16(10), uint16(0xbb01), []byte{15: 1}, []byte{15: 2}, uint32(0))
	f.Add(uint16(0), uint16(0), []byte{}, []byte{}, uint32(1<<32-1))
	f.Fuzz(func(t *testing.T, family, port uint16, src, dst []byte, count uint32) {
		k := walkDestKey{Family: family, Port: port}
		copy(viewAsBytes(k.Src[:]), src)
		copy(viewAsBytes(k.Dst[:]), dst)
		v := walkDestVal{Reusable: count}
		v.States[tcpstate.TimeWait] = count
		d, ok := decodeDestination(&k, &v)
		if ok != (family == familyIPv4 || family == familyIPv6) {
			t.Fatalf("family %d: %v", family, ok)
		}
		if ok && (d.Address.Is4() != (family == familyIPv4) || d.Source.Is4() != d.Address.Is4()) {
			t.Errorf("family %d: %v, %v", family, d.Source, d.Address)
		}
		if d.Port != port>>8|port<<8 || d.States[tcpstate.TimeWait] != count || d.Reusable != count {
			t.Errorf("got %+v", d)
		}
	})
}

// Names of processes and cgroups are arbitrary bytes.
func FuzzProcess(f *testing.F) {
	f.Add([]byte("sleep"), []byte("cri-containerd-"), []byte("kubepods"))
	f.Fuzz(func(t *testing.T, comm, leaf, parent []byte) {
		var v walkTaskVal
		copy(asUnsigned(v.Comm[:]), comm)
		copy(asUnsigned(v.Names[0][:]), leaf)
		copy(asUnsigned(v.Names[1][:]), parent)
		if p := decodeProcess(&v); len(p.Comm) > len(v.Comm) || len(p.Cgroup.Container) != 0 && len(p.Cgroup.Container) != 64 {
			t.Errorf("got %+v", p)
		}
	})
}

func asUnsigned(b []int8) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
}

func TestDestinationsAreGroupedByNamespace(t *testing.T) {
	b := destinationBatch{
		keys: []walkDestKey{{Net: 2, Family: familyIPv4, Port: 1}, {Net: 0, Family: familyIPv4, Port: 2},
			{Net: 2, Family: familyIPv6, Port: 3}, {Net: 9, Family: familyIPv4, Port: 4}, {Net: 1, Family: 99}},
		vals: make([]walkDestVal, 5),
	}
	var got [][]uint16
	for _, ds := range b.groupByNetns(3) {
		ports := []uint16{}
		for _, d := range ds {
			ports = append(ports, decodePort(d.Port))
		}
		got = append(got, ports)
	}
	if diff := cmp.Diff([][]uint16{{2}, {}, {1, 3}}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestHertz(t *testing.T) {
	for _, hz := range []uint64{100, 250, 300, 1000} {
		jiffies := 1<<32 - 300*hz + 86400*hz + 7
		if got := detectHZ(86400e9, jiffies); got != hz {
			t.Errorf("HZ %d: got %d", hz, got)
		}
	}
	if got := detectHZ(86400e9, 17); got != 0 {
		t.Errorf("jiffies that fit no frequency: HZ %d", got)
	}
}

func TestEveryLossIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		counts     walkTally
		record     walkNetRec
		exactness  socket.Exactness
		unobserved string
	}{
		"nothing lost":                 {walkTally{}, walkNetRec{}, socket.Exact, ""},
		"a bucket that keeps changing": {walkTally{Unsettled: 1}, walkNetRec{}, socket.Approximate, ""},
		"a bucket read again":          {walkTally{Retries: 9}, walkNetRec{}, socket.Exact, ""},
		"too many namespaces":          {walkTally{NetsLost: 1}, walkNetRec{}, socket.Approximate, "network namespaces"},
		"small destinations too many":  {walkTally{}, walkNetRec{Threshold: 2, Uncounted: 1}, socket.Exact, "destinations"},
		"large destinations too many":  {walkTally{}, walkNetRec{Held: 1, DestsLost: 1}, socket.Exact, "destinations"},
		"too many bound ports":         {walkTally{}, walkNetRec{BlocksLost: 1}, socket.Approximate, "bound ports"},
		"a chain that is too long":     {walkTally{Capped: 1}, walkNetRec{}, socket.Approximate, "sockets"},
		"a UDP port with many sockets": {walkTally{CappedUdp: 1}, walkNetRec{}, socket.Exact, "UDP sockets"},
		"a TCP port with many sockets": {walkTally{}, walkNetRec{OwnersCut: 1}, socket.Exact, "bound sockets"},
		"IP_LOCAL_PORT_RANGE":          {walkTally{}, walkNetRec{Narrow: 1}, socket.Exact, "IP_LOCAL_PORT_RANGE"},
		"a VRF":                        {walkTally{}, walkNetRec{L3mdev: 1}, socket.Exact, "VRFs"},
		"an unknown state":             {walkTally{OddStates: 1}, walkNetRec{}, socket.Approximate, "sockets"},
		"too many cgroups":             {walkTally{}, walkNetRec{TasksLost: 1}, socket.Exact, "owners"},
		"too many processes":           {walkTally{TasksCut: 1}, walkNetRec{}, socket.Exact, "owners"},
	} {
		t.Run(name, func(t *testing.T) {
			r, un := assessExactness(&c.counts, []walkNetRec{c.record}, Options{Failures: true}, 0)
			if r.Exactness != c.exactness {
				t.Errorf("%s, want %s", r.Exactness, c.exactness)
			}
			if c.unobserved == "" && len(un) > 0 || c.unobserved != "" && (len(un) != 1 || un[0].Item != c.unobserved) {
				t.Errorf("unobserved %v, want %q", un, c.unobserved)
			}
		})
	}
}
