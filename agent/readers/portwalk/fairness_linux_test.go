package portwalk

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

// findTightest returns the pool of n that decides the level.
func findTightest(n *socket.Network) socket.Pool {
	p, _ := (&socket.Sample{Networks: []socket.Network{*n}}).TightestPool()
	return p
}

func TestACrawlerIsBoundedAndEveryOtherNamespaceExact(t *testing.T) {
	crawler, victim := netnstest.New(t), newNetnsWith100Ports(t)
	crawler.WriteSysctl("net.ipv4.ip_local_port_range", "40000 49999")
	const large = 1000
	to := addrPort("127.9.9.9:443")
	for i := range 3000 {
		openConnections(t, crawler, 1, loopback, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), 80))
		if i%3 == 0 {
			openConnections(t, crawler, 1, loopback, to)
		}
	}
	openConnections(t, victim, 100, loopback, server)
	r := openReader(t, Options{Destinations: 256, MaxDestinations: 256})
	for range 3 {
		s := takeSample(t, r)
		v := findNetwork(&s, victim.Inode())
		if p := findTightest(v); p.Used != 100 || p.MaxUsed() != 100 || p.Capacity != 100 {
			t.Errorf("the victim's pool: %+v", p)
		}
		c := findNetwork(&s, crawler.Inode())
		i := slices.IndexFunc(c.Destinations, func(d socket.Destination) bool { return d.Address == to.Addr() })
		if i < 0 || c.Uncounted == 0 || c.Uncounted >= 100 { // a hundredth of the range
			t.Fatalf("%d sockets can be missing from %d destinations", c.Uncounted, len(c.Destinations))
		}
		if got := c.Destinations[i].States.Total(); got > large || got+c.Uncounted < large {
			t.Errorf("the large destination has %d to %d sockets, want %d", got, got+c.Uncounted, large)
		}
		if p := findTightest(c); p.Used > large || p.MaxUsed() < large || p.MaxUsed() > large+100 {
			t.Errorf("the crawler's pool: %+v", p)
		}
		if !isUnobserved(&s, "destinations") || s.Tables[1].Lost == 0 {
			t.Errorf("unobserved %v, tables %+v", s.Unobserved, s.Tables)
		}
	}
}

func TestATableWithoutRoomForLargeDestinationsLeavesTheBindHashsBound(t *testing.T) {
	n := newNetnsWith100Ports(t) // one socket makes a destination large
	for i := range uint16(60) {
		openConnections(t, n, 1, loopback, netip.AddrPortFrom(server.Addr(), 1000+i))
	}
	s := takeSample(t, openReader(t, Options{Destinations: 16, MaxDestinations: 16}))
	got := findNetwork(&s, n.Inode())
	if p := findTightest(got); got.Uncounted != got.InUse || int(p.MaxUsed()) != got.InUse || p.Used > 1 {
		t.Errorf("the network has bounds of %d sockets, its pool %+v", got.Uncounted, p)
	}
}

func TestDetailsOfDistantNamespacesAreReadAtIntervals(t *testing.T) {
	r := openReader(t, Options{})
	n := newNetnsWith100Ports(t)
	var open []*testnet.Socket
	resize := func(count int) {
		t.Helper()
		for len(open) < count {
			k, err := n.Connect(loopback, server, testnet.Repair)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, k)
		}
		for ; len(open) > count; open = open[1:] {
			if err := open[0].Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, step := range []struct {
		name                            string
		sockets                         int
		maxAge                          time.Duration
		isOld                           bool
		inUse, used, established, total int
	}{
		{"the first sample reads all", 20, time.Hour, false, 20, 20, 20, 20},
		{"then only the bind hash is read", 24, time.Hour, true, 24, 20, 20, 20},
		{"an old count can't exceed the ports in use", 5, time.Hour, true, 5, 5, 20, 20},
		{"after the interval all are read", 5, time.Nanosecond, false, 5, 5, 5, 5},
		{"a namespace near the threshold is always read", 60, time.Hour, false, 60, 60, 60, 60},
	} {
		resize(step.sockets)
		s, err := r.Sample(t.Context(), socket.Request{DetailPercent: 50, MaxDetailAge: step.maxAge})
		if err != nil {
			t.Fatal(err)
		}
		got := findNetwork(&s, n.Inode())
		if !got.Detailed || got.DetailAge > 0 != step.isOld || got.InUse != step.inUse || int(findTightest(got).Used) != step.used ||
			int(got.States[tcpstate.Established]) != step.established || got.Destinations[0].States.Total() != step.total {
			t.Errorf("%s: %+v, used %d", step.name, got, findTightest(got).Used)
		}
	}
}

// newPodCgroup creates a cgroup below a pod's, in a hierarchy in which the reader looks.
func newPodCgroup(t *testing.T, below ...string) string {
	t.Helper()
	for _, base := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		if _, err := os.Stat(base + "/cgroup.procs"); err != nil {
			continue
		}
		root, err := os.MkdirTemp(base, "portreeve-test-") //nolint:usetesting // a cgroup, not a folder for files
		if err != nil {
			t.Skipf("needs cgroups: %v", err)
		}
		t.Cleanup(func() { removeCgroups(t, root) })
		dir := filepath.Join(append([]string{root}, below...)...)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	t.Skip("needs cgroups")
	return ""
}

// removeCgroups removes a cgroup and those below it, once their processes have ended.
func removeCgroups(t *testing.T, dir string) {
	children, _ := filepath.Glob(dir + "/*/cgroup.procs")
	for _, c := range children {
		removeCgroups(t, filepath.Dir(c))
	}
	waitUntil(t, func() bool { return os.Remove(dir) == nil })
}

// startInCgroup starts a process of n in a cgroup.
func startInCgroup(n *netnstest.Netns, cgroup string) {
	n.Start(exec.Command("sh", "-c", "echo $$ > "+cgroup+"/cgroup.procs && exec sleep 600"))
}

const podUID, otherUID = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"

func TestThePodIsThatOfTheOutermostCgroupOfKubernetes(t *testing.T) {
	container := strings.Repeat("c", 64)
	deep := slices.Repeat([]string{"d"}, 20)
	r := openReader(t, Options{})
	for name, c := range map[string]struct {
		below []string
		want  string
	}{
		"cgroupfs":                   {[]string{"kubepods", "burstable", "pod" + podUID, container}, podUID},
		"guaranteed":                 {[]string{"kubepods", "pod" + podUID, container}, podUID},
		"systemd":                    {[]string{"kubepods.slice", "kubepods-besteffort.slice", "kubepods-besteffort-pod" + strings.ReplaceAll(podUID, "-", "_") + ".slice", "cri-containerd-" + container + ".scope"}, podUID},
		"kind":                       {[]string{"docker", container, "kubelet.slice", "kubelet-kubepods.slice", "kubelet-kubepods-pod" + strings.ReplaceAll(podUID, "-", "_") + ".slice", "cri-containerd-" + container + ".scope"}, podUID},
		"deep below the container":   {slices.Concat([]string{"kubepods", "burstable", "pod" + podUID, container}, deep), podUID},
		"a borrowed name":            {[]string{"kubepods", "burstable", "pod" + podUID, container, "kubepods", "pod" + otherUID, container}, podUID},
		"a borrowed name, deeper":    {slices.Concat([]string{"kubepods", "pod" + podUID, container}, deep, []string{"kubepods", "burstable", "pod" + otherUID, container}), podUID},
		"too deep to reach the root": {slices.Concat([]string{"kubepods", "pod" + podUID, container}, slices.Repeat([]string{"d"}, 300), []string{"kubepods", "pod" + otherUID, container}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			cgroup := newPodCgroup(t, c.below...)
			n := netnstest.New(t) // closed first, which ends the process
			startInCgroup(n, cgroup)
			var owner socket.Owner
			waitUntil(t, func() bool {
				s := takeSample(t, r)
				owner = findNetwork(&s, n.Inode()).Owner
				return owner.Process == "sleep"
			})
			if owner.PodUID != c.want || c.want != "" && owner.Container != container {
				t.Errorf("got %+v, want the pod %q", owner, c.want)
			}
		})
	}
}

func TestPodsAndNamespacesWithSocketsAreNotHiddenByEmptyNamespaces(t *testing.T) {
	s := takeSample(t, openReader(t, Options{}))
	const empty = 12
	limit := len(s.Networks) + 4 // others may come and go
	for range empty {
		netnstest.New(t)
	}
	cgroup := newPodCgroup(t, "kubepods", "pod"+podUID, strings.Repeat("c", 64))
	pod, bound := newNetnsWith100Ports(t), newNetnsWith100Ports(t)
	startInCgroup(pod, cgroup)
	openConnections(t, pod, 100, loopback, server)
	if _, err := bound.Bind(addrPort("127.0.0.1:40000")); err != nil {
		t.Fatal(err)
	}
	r := openReader(t, Options{Networks: limit})
	for range 3 {
		s := takeSample(t, r)
		if s.Tables[0].Lost == 0 || !isUnobserved(&s, "network namespaces") {
			t.Fatalf("no namespace is missing: tables %+v", s.Tables)
		}
		if n := findNetwork(&s, pod.Inode()); n == nil || findTightest(n).Used != 100 || n.Owner.PodUID != podUID {
			t.Errorf("the pod: %+v", n)
		}
		if n := findNetwork(&s, bound.Inode()); n == nil || n.InUse != 1 {
			t.Errorf("the namespace with a socket: %+v", n)
		}
	}
}

func TestTheListOfNamespacesIsCompleteAgainOnceTheyFit(t *testing.T) {
	r := openReader(t, Options{})
	r.ranked = true // as after a sample with too many
	n := newNetnsWith100Ports(t)
	openConnections(t, n, 7, loopback, server)
	for range 2 {
		s := takeSample(t, r)
		if got := findNetwork(&s, n.Inode()); got == nil || got.InUse != 7 || got.Destinations[0].States.Total() != 7 || r.ranked {
			t.Errorf("ranked %v, got %+v", r.ranked, got)
		}
	}
}

func TestBoundSocketsAreCounted(t *testing.T) {
	r := openReader(t, Options{})
	for name, c := range map[string]struct {
		bind func(*testing.T, *netnstest.Netns)
		want uint32
	}{
		"7 sockets on 7 ports": {func(t *testing.T, n *netnstest.Netns) { bindSockets(t, n, 7, "0.0.0.0:0") }, 7},
		"3 addresses of one port": {func(t *testing.T, n *netnstest.Netns) {
			for _, at := range []string{"127.0.0.1:40000", "127.0.0.2:40000", "127.0.0.3:40000"} {
				bindSockets(t, n, 1, at)
			}
		}, 3},
		"100 sockets with SO_REUSEPORT": {func(t *testing.T, n *netnstest.Netns) { bindSockets(t, n, 100, "127.0.0.1:40000", testnet.ReusePort) }, 100},
		"one listens on another address": {func(t *testing.T, n *netnstest.Netns) {
			n.Listen("127.0.0.1:40000", testnet.ReuseAddr)
			bindSockets(t, n, 1, "127.0.0.2:40000", testnet.ReuseAddr)
		}, 1},
		"8 beside a listener": {func(t *testing.T, n *netnstest.Netns) {
			n.Listen("127.0.0.1:40000", testnet.ReusePort)
			bindSockets(t, n, 8, "127.0.0.1:40000", testnet.ReusePort)
		}, 8},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetnsWith100Ports(t)
			c.bind(t, n)
			s := takeSample(t, r)
			if got := findNetwork(&s, n.Inode()).States[tcpstate.Bound]; got != c.want {
				t.Errorf("%d bound sockets, want %d", got, c.want)
			}
		})
	}
}

func bindSockets(t *testing.T, n *netnstest.Netns, count int, at string, opts ...testnet.Option) {
	t.Helper()
	for range count {
		if _, err := n.Bind(addrPort(at), opts...); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAUDPPortWithManySocketsKeepsTheSampleExact(t *testing.T) {
	r := openReader(t, Options{})
	n := newNetnsWith100Ports(t)
	const count = 5000
	for range count {
		if _, err := n.BindUDP(addrPort("127.0.0.1:40000"), testnet.ReusePort); err != nil {
			t.Fatal(err)
		}
	}
	s := takeSample(t, r)
	if got := findNetwork(&s, n.Inode()); s.Reader.Exactness != socket.Exact || got.UDPSockets != count || got.UDPInUse != 1 {
		t.Errorf("%+v: %d sockets on %d ports", s.Reader, got.UDPSockets, got.UDPInUse)
	}
}

func TestSocketsWithARangeOfTheirOwnAreReported(t *testing.T) {
	r := openReader(t, Options{})
	n := newNetnsWith100Ports(t)
	narrow := testnet.LocalPortRange(ports.Range{First: 40000, Last: 40049})
	k, err := n.Connect(loopback, server, testnet.Repair, narrow)
	if err != nil {
		t.Skipf("needs Linux 6.3: %v", err)
	}
	if s := takeSample(t, r); !isUnobserved(&s, "IP_LOCAL_PORT_RANGE") {
		t.Errorf("unobserved: %v", s.Unobserved)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	openConnections(t, n, 10, loopback, server)
	if s := takeSample(t, r); isUnobserved(&s, "IP_LOCAL_PORT_RANGE") {
		t.Errorf("without such a socket: %v", s.Unobserved)
	}
}
