package cause_test

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/readers/portwalk"
	"portreeve.io/portreeve/agent/readers/sockdiag"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

var record = flag.Bool("record", false, "run every scenario and write the samples of the readers to testdata/live")

// scenario builds a machine with a known cause, or a healthy one, in a new namespace.
type scenario struct {
	name  string
	how   string
	cause v1alpha1.Cause
	build func(*stage)
	// inEveryRun scenarios run in every test, not only for a recording.
	inEveryRun bool
	// sockdiag scenarios are also sampled with this reader.
	sockdiag bool
	// inspects requests details of the pool.
	inspects bool
}

// stage is the namespace in which a scenario is built.
type stage struct {
	*netnstest.Netns
	t     *testing.T
	walk  *portwalk.Reader
	rand  *rand.Rand
	facts facts
	owner socket.Owner
	// isReady reports whether the pool detail shows the state that the scenario waits for.
	isReady func(*socket.PoolDetail) bool
}

func TestLiveScenarios(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the test creates network namespaces")
	}
	walk, err := portwalk.Open(portwalk.Options{})
	if err != nil {
		t.Fatalf("open portwalk: %v", err)
	}
	t.Cleanup(func() {
		if err := walk.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	var all diagnosisScore
	for _, s := range scenarios {
		if !s.inEveryRun && !*record {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			seed := fnv.New64a()
			seed.Write([]byte(s.name))
			at := &stage{Netns: netnstest.New(t), t: t, walk: walk, rand: rand.New(rand.NewPCG(seed.Sum64(), 0)),
				owner:   socket.Owner{Kind: socket.OwnerPod, PodUID: "3f2a9c1e-5b7d-4a10-9d57-7d1d2f0c6b11", Namespace: "shop", Pod: "api-7f"},
				isReady: func(*socket.PoolDetail) bool { return true }}
			at.addBackgroundLoad()
			s.build(at)
			at.evaluateSample(s, "", at.samplePortwalk(s.inspects), &all)
			if s.sockdiag {
				at.evaluateSample(s, "-sockdiag", at.sampleSockdiag(), &all)
			}
		})
	}
	all.checkGoal(t)
}

func (s *stage) evaluateSample(of scenario, suffix string, sample socket.Sample, all *diagnosisScore) {
	s.t.Helper()
	l := &labelledMachine{How: of.how, Cause: of.cause, Kernel: readKernelRelease(s.t), Facts: s.facts, Sample: sample}
	all.addMachine(s.t, of.name+suffix, l)
	if *record {
		if err := saveRecording(filepath.Join("testdata", "live", of.name+suffix+".json"), l); err != nil {
			s.t.Fatal(err)
		}
	}
}

func readKernelRelease(t *testing.T) string {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	return unix.ByteSliceToString(u.Release[:])
}

// samplePortwalk returns portwalk's sample of the namespace. PoolDetail describes the
// tightest pool of the machine, which may belong to another test for a while; inspect waits
// for that of this namespace. Recordings of other scenarios have it only by chance.
func (s *stage) samplePortwalk(inspect bool) socket.Sample {
	s.t.Helper()
	var request socket.Request
	if inspect || *record {
		request.InspectPercent = 50
	}
	for end := time.Now().Add(5 * time.Minute); ; {
		got, err := s.walk.Sample(s.t.Context(), request)
		if err != nil {
			s.t.Fatal(err)
		}
		sample := s.selectNetwork(got)
		if !inspect || sample.PoolDetail != nil && s.isReady(sample.PoolDetail) {
			return sample
		}
		if time.Now().After(end) {
			s.t.Fatalf("after 5 minutes PoolDetail is %+v", sample.PoolDetail)
		}
		time.Sleep(50 * time.Millisecond) // the kernel's timers have to run
	}
}

// sampleSockdiag returns sockdiag's sample of the namespace.
func (s *stage) sampleSockdiag() socket.Sample {
	s.t.Helper()
	root := s.t.TempDir()
	if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", s.FD()), filepath.Join(root, "scenario")); err != nil {
		s.t.Fatal(err)
	}
	diag, err := sockdiag.Open(sockdiag.Options{NetnsRoot: root})
	if err != nil {
		s.t.Fatal(err)
	}
	defer diag.Close()
	got, err := diag.Sample(s.t.Context(), socket.Request{})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.selectNetwork(got)
}

// selectNetwork returns the sample with only the scenario's namespace, which gets an owner.
func (s *stage) selectNetwork(sample socket.Sample) socket.Sample {
	s.t.Helper()
	out := socket.Sample{Taken: sample.Taken.UTC().Truncate(time.Second), Reader: sample.Reader}
	if l := sample.PoolDetail; l != nil && l.Inode == s.Inode() {
		out.PoolDetail = l
	}
	for _, n := range sample.Networks {
		if n.Inode == s.Inode() {
			n.Owner = s.owner
			out.Networks = append(out.Networks, n)
		}
	}
	if len(out.Networks) != 1 {
		s.t.Fatalf("%d networks with the inode net:[%d], want 1", len(out.Networks), s.Inode())
	}
	return out
}

// addBackgroundLoad adds the background load of any machine: listeners, and a few connections
// to other destinations.
func (s *stage) addBackgroundLoad() {
	s.t.Helper()
	for i := range 3 + s.rand.IntN(8) {
		s.Listen(fmt.Sprintf("127.0.0.1:%d", 8000+i))
	}
	for i := range 2 + s.rand.IntN(6) {
		to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 50, 0, byte(i)}), 443)
		s.openConnections(1+s.rand.IntN(20), home, to)
	}
}

// setPortRange sets the ephemeral port range.
func (s *stage) setPortRange(first, last int) {
	s.WriteSysctl("net.ipv4.ip_local_port_range", fmt.Sprintf("%d %d", first, last))
}

// openConnections opens ESTABLISHED sockets without a peer.
func (s *stage) openConnections(count int, src, dst netip.AddrPort) {
	s.t.Helper()
	for range count {
		if _, err := s.Connect(src, dst, testnet.Repair); err != nil {
			s.t.Fatalf("connect %v to %v: %v", src, dst, err)
		}
	}
}

// openPairs opens real connections and calls end for each.
func (s *stage) openPairs(count int, src, dst netip.AddrPort, end func(testnet.Pair) error) {
	s.t.Helper()
	l := s.Listen(dst.String())
	for range count {
		if err := end(s.Dial(l, src, dst)); err != nil {
			s.t.Fatalf("end a connection to %v: %v", dst, err)
		}
	}
}

// startConnects starts connects that remain in SYN_SENT.
func (s *stage) startConnects(count int, dst netip.AddrPort) {
	s.t.Helper()
	if err := s.Listen(dst.String()).DropPackets(); err != nil {
		s.t.Fatal(err)
	}
	for range count {
		if _, err := s.StartConnect(home, dst); err != nil {
			s.t.Fatal(err)
		}
	}
}

// readCounters stores the conntrack counters of the namespace as those of the node.
func (s *stage) readCounters() {
	s.t.Helper()
	proc := s.t.TempDir()
	for name, target := range map[string]string{"self": "/proc/thread-self", "sys": "/proc/sys", "net": "/proc/thread-self/net"} {
		if err := os.Symlink(target, filepath.Join(proc, name)); err != nil {
			s.t.Fatal(err)
		}
	}
	var c kernelstat.Counters
	s.Do(func() { c, _ = kernelstat.Read(proc) })
	if c.Conntrack == nil || c.ConntrackDrops == nil {
		s.t.Fatal("connection tracking can't be read")
	}
	s.facts.Conntrack = &assess.Conntrack{Entries: int64(c.Conntrack.Entries), Max: int64(c.Conntrack.Max),
		InsertFailed: new(int64(c.ConntrackDrops.InsertFailed)), Drop: new(int64(c.ConntrackDrops.Drop)), EarlyDrop: new(int64(c.ConntrackDrops.EarlyDrop))}
}
