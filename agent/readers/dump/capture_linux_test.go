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

// to is where the scenes' clients connect to, outside their namespace.
var to = netip.MustParseAddrPort("10.9.0.2:5432")

// scenes are what the dumps of testdata/linux were captured from: sockets of a
// namespace, and the commands that ran in it.
var scenes = map[string]struct {
	ports    string // net.ipv4.ip_local_port_range
	make     func(s *scene)
	commands map[string]string // by the end of the file's name
}{
	"time-wait": {"40000 56383", func(s *scene) {
		s.many(10_000, func(p testnet.Pair) error { return p.EnterTimeWait() })
	}, map[string]string{"ss-tan": "ss -tan", "ss-tano": "ss -tano", "netstat-ant": "netstat -ant", "proc": "cat /proc/net/tcp"}},
	"close-wait": {"40000 40999", func(s *scene) {
		s.many(900, testnet.Pair.EnterCloseWait)
	}, map[string]string{"ss-tanp": "ss -tanp", "ss-tuanp": "ss -tuanp", "netstat-antp": "netstat -antp"}},
	"established": {"40000 40999", func(s *scene) {
		s.many(900, func(testnet.Pair) error { return nil })
	}, map[string]string{"ss-tn": "ss -tn", "netstat-nt": "netstat -nt", "ss-tane": "ss -tane"}},
	"fin-wait2": {"40000 40999", func(s *scene) {
		s.many(900, testnet.Pair.EnterFinWait2)
	}, map[string]string{"ss-tan": "ss -tan", "proc": "cat /proc/net/tcp"}},
	"syn-sent": {"40000 40999", func(s *scene) {
		s.must(s.other.Listen(to.String()).DropPackets())
		for range 900 {
			_, err := s.here.StartConnect(netip.AddrPort{}, to)
			s.must(err)
		}
	}, map[string]string{"ss-tn": "ss -tn", "proc": "cat /proc/net/tcp"}},
	"ipv6": {"40000 40999", func(s *scene) {
		const addr = "2001:db8:85a3:8d3:1319:8a2e:370:7344"
		s.run("ip -6 address add " + addr + "/128 dev lo")
		there := netip.MustParseAddrPort("[" + addr + "]:45000")
		l := s.here.Listen(there.String())
		for range 600 {
			s.here.Dial(l, netip.AddrPort{}, there)
		}
	}, map[string]string{"netstat-ant": "netstat -ant", "netstat-antW": "netstat -antW", "ss-tn": "ss -tn", "ss-tan": "ss -tan", "proc": "cat /proc/net/tcp6"}},
	"healthy-server": {"40000 40999", func(s *scene) {
		l := s.here.Listen("10.9.0.1:8080")
		for i := range 1500 {
			p := s.other.Dial(l, netip.AddrPort{}, netip.MustParseAddrPort("10.9.0.1:8080"))
			if i%5 > 0 {
				s.must(p.Swap().EnterTimeWait())
			}
		}
	}, map[string]string{"ss-tan": "ss -tan"}},
	"listeners": {"40000 40999", func(s *scene) {
		for port := 40000; port < 40700; port++ {
			s.here.Listen(fmt.Sprintf("0.0.0.0:%d", port))
		}
	}, map[string]string{"ss-tlnp": "ss -tlnp"}},
	"udp": {"40000 40999", func(s *scene) {
		for port := 40000; port < 40900; port++ {
			_, err := s.here.BindUDP(netip.MustParseAddrPort(fmt.Sprintf("0.0.0.0:%d", port)))
			s.must(err)
		}
	}, map[string]string{"ss-uan": "ss -uan", "netstat-anu": "netstat -anu"}},
}

// scene is two namespaces, joined: dumps are of here.
type scene struct {
	t           *testing.T
	here, other *netnstest.Netns
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// many opens n connections, and does what is said with each.
func (s *scene) many(n int, then func(testnet.Pair) error) {
	l := s.other.Listen(to.String())
	for range n {
		s.must(then(s.here.Dial(l, netip.AddrPort{}, to)))
	}
}

// run is what a command prints in the namespace.
func (s *scene) run(command string) []byte {
	s.t.Helper()
	var out bytes.Buffer
	cmd := exec.Command("sh", "-c", command)
	cmd.Stdout = &out
	s.here.Start(cmd)
	s.must(cmd.Wait())
	return out.Bytes()
}

// TestCapture, run with -update, makes the scenes and keeps what the tools print.
func TestCapture(t *testing.T) {
	if !golden.ShouldUpdate() {
		t.Skip("writes testdata: run it with -update")
	}
	for name, c := range scenes {
		t.Run(name, func(t *testing.T) {
			s := &scene{t, netnstest.New(t), netnstest.New(t)}
			s.here.ConnectVeth(s.other, "10.9.0.1/24", "10.9.0.2/24")
			s.here.WriteSysctl("net.ipv4.ip_local_port_range", c.ports)
			s.here.WriteSysctl("net.ipv4.tcp_tw_reuse", "0")
			c.make(s)
			for tool, command := range c.commands {
				keep(t, name+"-"+tool, s.run(command))
			}
		})
	}
}

func keep(t *testing.T, name string, text []byte) {
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
