package dump

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"portreeve.io/portreeve/internal/testutil/golden"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

// server is the address to which the clients connect, in the other namespace.
var server = netip.MustParseAddrPort("10.9.0.2:5432")

// scenarios contains the sources of the dumps in testdata/linux: the sockets of a namespace,
// and the commands that ran in it.
var scenarios = map[string]struct {
	ports    string // net.ipv4.ip_local_port_range
	make     func(s *scenario)
	commands map[string]string // by the suffix of the file name
}{
	"time-wait": {"40000 56383", func(s *scenario) {
		s.openEach(10_000, func(p testnet.Pair) error { return p.EnterTimeWait() })
	}, map[string]string{"ss-tan": "ss -tan", "ss-tano": "ss -tano", "netstat-ant": "netstat -ant", "proc": "cat /proc/net/tcp"}},
	"close-wait": {"40000 40999", func(s *scenario) {
		s.openEach(900, testnet.Pair.EnterCloseWait)
	}, map[string]string{"ss-tanp": "ss -tanp", "ss-tuanp": "ss -tuanp", "netstat-antp": "netstat -antp"}},
	"established": {"40000 40999", func(s *scenario) {
		s.openEach(900, func(testnet.Pair) error { return nil })
	}, map[string]string{"ss-tn": "ss -tn", "netstat-nt": "netstat -nt", "ss-tane": "ss -tane"}},
	"fin-wait2": {"40000 40999", func(s *scenario) {
		s.openEach(900, testnet.Pair.EnterFinWait2)
	}, map[string]string{"ss-tan": "ss -tan", "proc": "cat /proc/net/tcp"}},
	"syn-sent": {"40000 40999", func(s *scenario) {
		s.must(s.other.Listen(server.String()).DropPackets())
		for range 900 {
			_, err := s.here.StartConnect(netip.AddrPort{}, server)
			s.must(err)
		}
	}, map[string]string{"ss-tn": "ss -tn", "proc": "cat /proc/net/tcp"}},
	"ipv6": {"40000 40999", func(s *scenario) {
		const addr = "2001:db8:85a3:8d3:1319:8a2e:370:7344"
		s.runInside("ip -6 address add " + addr + "/128 dev lo")
		there := netip.MustParseAddrPort("[" + addr + "]:45000")
		l := s.here.Listen(there.String())
		for range 600 {
			s.here.Dial(l, netip.AddrPort{}, there)
		}
	}, map[string]string{"netstat-ant": "netstat -ant", "netstat-antW": "netstat -antW", "ss-tn": "ss -tn", "ss-tan": "ss -tan", "proc": "cat /proc/net/tcp6"}},
	"healthy-server": {"40000 40999", func(s *scenario) {
		l := s.here.Listen("10.9.0.1:8080")
		for i := range 1500 {
			p := s.other.Dial(l, netip.AddrPort{}, netip.MustParseAddrPort("10.9.0.1:8080"))
			if i%5 > 0 {
				s.must(p.Swap().EnterTimeWait())
			}
		}
	}, map[string]string{"ss-tan": "ss -tan"}},
	"listeners": {"40000 40999", func(s *scenario) {
		for port := 40000; port < 40700; port++ {
			s.here.Listen(fmt.Sprintf("0.0.0.0:%d", port))
		}
	}, map[string]string{"ss-tlnp": "ss -tlnp"}},
	"udp": {"40000 40999", func(s *scenario) {
		for port := 40000; port < 40900; port++ {
			_, err := s.here.BindUDP(netip.MustParseAddrPort(fmt.Sprintf("0.0.0.0:%d", port)))
			s.must(err)
		}
	}, map[string]string{"ss-uan": "ss -uan", "netstat-anu": "netstat -anu"}},
}

// scenario is a pair of connected namespaces. The dumps are taken in here.
type scenario struct {
	t           *testing.T
	here, other *netnstest.Netns
}

func (s *scenario) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// openEach opens n connections and calls then for each.
func (s *scenario) openEach(n int, then func(testnet.Pair) error) {
	l := s.other.Listen(server.String())
	for range n {
		s.must(then(s.here.Dial(l, netip.AddrPort{}, server)))
	}
}

// runInside returns the output of a command in the namespace here.
func (s *scenario) runInside(command string) []byte {
	s.t.Helper()
	var out bytes.Buffer
	cmd := exec.Command("sh", "-c", command)
	cmd.Stdout = &out
	s.here.Start(cmd)
	s.must(cmd.Wait())
	return out.Bytes()
}

// TestCapture, run with -update, builds the scenarios and stores the output of the tools.
func TestCapture(t *testing.T) {
	if !golden.ShouldUpdate() {
		t.Skip("writes testdata only with -update")
	}
	for name, c := range scenarios {
		t.Run(name, func(t *testing.T) {
			s := &scenario{t, netnstest.New(t), netnstest.New(t)}
			s.here.ConnectVeth(s.other, "10.9.0.1/24", "10.9.0.2/24")
			s.here.WriteSysctl("net.ipv4.ip_local_port_range", c.ports)
			s.here.WriteSysctl("net.ipv4.tcp_tw_reuse", "0")
			c.make(s)
			for tool, command := range c.commands {
				storeCapture(t, name+"-"+tool, s.runInside(command))
			}
		})
	}
}

func storeCapture(t *testing.T, name string, text []byte) {
	t.Helper()
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err == nil {
		_, err = z.Write(text)
	}
	if err == nil {
		err = z.Close()
	}
	if err == nil {
		err = os.WriteFile(filepath.Join("testdata", "linux", name+".gz"), out.Bytes(), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
