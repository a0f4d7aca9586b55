package dump

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// readDump reads a dump with a range of 100 ports.
func readDump(t *testing.T, text string) Dump {
	t.Helper()
	d, err := Read(strings.NewReader(text), Options{Range: ports.Range{First: 50000, Last: 50099}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// figures contains the counts of a network that tests compare.
type figures struct {
	InUse, Skipped, Listening int
	// Destinations contains the number of sockets and of those whose ports connect() could
	// reuse, by destination.
	Destinations map[string]string
}

func newFigures(n *socket.Network) figures {
	f := figures{n.InUse, n.Skipped, n.SkippedListening, map[string]string{}}
	for _, d := range n.Destinations {
		name := fmt.Sprintf("%v>%v", d.Source, netip.AddrPortFrom(d.Address, d.Port))
		f.Destinations[name] = fmt.Sprintf("%d, %d, %d", d.States.Total(), d.Reusable, d.ReusableIfAll)
	}
	return f
}

func TestFiguresOfADump(t *testing.T) {
	tests := map[string]struct {
		text string
		want figures
	}{
		"Connections to a server use no ephemeral ports": {`
  TCP 10.0.0.5:443 10.0.0.9:50001 ESTABLISHED
  TCP 10.0.0.5:443 10.0.0.9:50002 TIME_WAIT`,
			figures{0, 0, 0, map[string]string{}}},
		"A listener in the range uses its port, and its clients use none": {`
  TCP 10.0.0.5:50001 10.0.0.9:40001 ESTABLISHED
  TCP 10.0.0.5:50002 10.0.0.9:443 ESTABLISHED
  TCP 0.0.0.0:50001 0.0.0.0:0 LISTENING`,
			figures{2, 1, 1, map[string]string{"10.0.0.5>10.0.0.9:443": "1, 0, 0"}}},
		"Without listeners a port with many clients belongs to a service": {`
  TCP 10.0.0.5:50001 10.0.0.9:40001 ESTABLISHED
  TCP 10.0.0.5:50001 10.0.0.9:40002 ESTABLISHED
  TCP 10.0.0.5:50001 10.0.0.9:40003 ESTABLISHED
  TCP 10.0.0.5:50001 10.0.0.9:40004 ESTABLISHED`,
			figures{1, 1, 1, map[string]string{}}},
		"Both ends on one host, without listeners, count once": {`
tcp 0 0 10.0.0.5:50010 10.0.0.5:50001 ESTABLISHED
tcp 0 0 10.0.0.5:50011 10.0.0.5:50001 ESTABLISHED
tcp 0 0 10.0.0.5:50012 10.0.0.5:50001 CLOSE_WAIT
tcp 0 0 10.0.0.5:50013 10.0.0.5:50001 ESTABLISHED
tcp 0 0 10.0.0.5:50001 10.0.0.5:50010 ESTABLISHED
tcp 0 0 10.0.0.5:50001 10.0.0.5:50011 ESTABLISHED
tcp 0 0 10.0.0.5:50001 10.0.0.5:50012 FIN_WAIT2
tcp 0 0 10.0.0.5:50001 10.0.0.5:50013 ESTABLISHED`,
			figures{5, 1, 1, map[string]string{"10.0.0.5>10.0.0.5:50001": "4, 0, 0"}}},
		"A single pair on one host, without listeners, counts once": {`
tcp 0 0 127.0.0.1:50010 127.0.0.1:50001 ESTABLISHED
tcp 0 0 127.0.0.1:50001 127.0.0.1:50010 ESTABLISHED`,
			figures{2, 1, 1, map[string]string{"127.0.0.1>127.0.0.1:50001": "1, 0, 0"}}},
		"A repeated line counts once": {`
tcp 0 0 10.0.0.5:50010 10.0.0.9:443 ESTABLISHED
tcp 0 0 10.0.0.5:50010 10.0.0.9:443 ESTABLISHED
tcp 0 0 10.0.0.5:50011 10.0.0.9:443 ESTABLISHED`,
			figures{2, 0, 0, map[string]string{"10.0.0.5>10.0.0.9:443": "2, 0, 0"}}},
		"One port for two destinations is in use once": {`
tcp 0 0 10.0.0.5:50010 10.0.0.9:443 ESTABLISHED
tcp 0 0 10.0.0.5:50010 10.0.0.8:443 ESTABLISHED`,
			figures{1, 0, 0, map[string]string{"10.0.0.5>10.0.0.9:443": "1, 0, 0", "10.0.0.5>10.0.0.8:443": "1, 0, 0"}}},
		"On Windows a bound port with a connection belongs to the connection": {`
  TCP 0.0.0.0:50001 0.0.0.0:0 BOUND 1
  TCP 0.0.0.0:50002 0.0.0.0:0 BOUND 1
  TCP 10.0.0.5:50001 10.0.0.9:443 ESTABLISHED 1`,
			figures{2, 1, 0, map[string]string{"10.0.0.5>10.0.0.9:443": "1, 0, 0"}}},
		"On Windows TIME_WAIT of the other end on this host may block the port": {`
  TCP 10.0.0.5:8080 10.0.0.5:50001 TIME_WAIT 0
  TCP 10.0.0.5:8080 10.0.0.5:50002 TIME_WAIT 0
  TCP 10.0.0.5:50002 10.0.0.5:8080 LAST_ACK 7
  TCP 10.0.0.5:8080 10.0.0.9:50003 TIME_WAIT 0`,
			figures{2, 0, 0, map[string]string{"10.0.0.5>10.0.0.5:8080": "2, 1, 1"}}},
		"On Linux TIME_WAIT of the other end does not block the port": {`
TIME-WAIT 0 0 10.0.0.5:8080 10.0.0.5:50001`,
			figures{0, 0, 0, map[string]string{}}},
		"Linux takes over TIME_WAIT over loopback": {`
TIME-WAIT 0 0 127.0.0.1:50001 127.0.0.1:8080
ESTAB 0 0 127.0.0.1:50002 127.0.0.1:8080`,
			figures{2, 0, 0, map[string]string{"127.0.0.1>127.0.0.1:8080": "2, 1, 1"}}},
		"Linux did not take over TIME_WAIT over loopback if both parities are used": {`
TIME-WAIT 0 0 127.0.0.1:50001 127.0.0.1:8080
TIME-WAIT 0 0 127.0.0.1:50002 127.0.0.1:8080`,
			figures{2, 0, 0, map[string]string{"127.0.0.1>127.0.0.1:8080": "2, 0, 0"}}},
		"Timers do not show that TIME_WAIT can be taken over": {`
TIME-WAIT 0 0 10.0.0.5:50001 10.0.0.9:8080 timer:(timewait,18sec,0)
TIME-WAIT 0 0 10.0.0.5:50003 10.0.0.9:8080 timer:(timewait,59sec,0)`,
			figures{2, 0, 0, map[string]string{"10.0.0.5>10.0.0.9:8080": "2, 0, 0"}}},
		"On Linux a bound port is unavailable to every destination": {`
tcp UNCONN 0 0 10.0.0.5:50001 0.0.0.0:*
tcp ESTAB 0 0 10.0.0.5:50001 10.0.0.9:443`,
			figures{1, 1, 0, map[string]string{}}},
		"IPv4 in IPv6 draws from the pool of IPv4": {`
tcp6 0 0 ::ffff:10.0.0.5:50010 ::ffff:10.0.0.9:443 ESTABLISHED
tcp 0 0 10.0.0.5:50011 10.0.0.9:443 ESTABLISHED`,
			figures{2, 0, 0, map[string]string{"10.0.0.5>10.0.0.9:443": "2, 0, 0"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := readDump(t, test.text)
			if diff := cmp.Diff(test.want, newFigures(&d.Sample.Networks[0])); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStatesCountEverySocketOnce(t *testing.T) {
	d := readDump(t, `
  TCP 0.0.0.0:443 0.0.0.0:0 LISTENING
  TCP 10.0.0.5:443 10.0.0.9:50001 TIME_WAIT
  TCP 10.0.0.5:50001 10.0.0.9:443 CLOSE_WAIT
  TCP 10.0.0.5:50001 10.0.0.9:443 CLOSE_WAIT
  TCP 10.0.0.5:50002 10.0.0.9:443 CLOSE_WAIT
  UDP 0.0.0.0:50001 *:*
  UDP 0.0.0.0:500 *:*`)
	n := d.Sample.Networks[0]
	want := tcpstate.Counts{tcpstate.Listen: 1, tcpstate.TimeWait: 1, tcpstate.CloseWait: 2}
	if diff := cmp.Diff(want, n.States); diff != "" || n.UDPInUse != 1 || n.UDPSockets != 2 || !d.UDP {
		t.Errorf("%d of %d UDP sockets in the range %s", n.UDPInUse, n.UDPSockets, diff)
	}
}

// formatHolders formats the holders of the tightest pool in one line.
func formatHolders(d Dump) string {
	l := d.Sample.PoolDetail
	if l == nil {
		return "none"
	}
	words := []string{fmt.Sprintf("%d in use", l.ProcessSockets)}
	for _, h := range l.Holders {
		words = append(words, fmt.Sprintf("%s/%d %d", h.Process, h.PID, h.Sockets))
	}
	return strings.Join(words, ", ")
}

func TestHoldersOfTheTightestPool(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"netstat -ano prints PIDs": {`
  TCP 10.0.0.5:50001 10.0.0.9:443 ESTABLISHED 7
  TCP 10.0.0.5:50002 10.0.0.9:443 ESTABLISHED 8
  TCP 10.0.0.5:50003 10.0.0.9:443 ESTABLISHED 8
  TCP 10.0.0.5:50004 10.0.0.9:443 TIME_WAIT 0`, "3 in use, /8 2, /7 1"},
		"netstat -anb names the program below the row, components before it": {`
  TCP 10.0.0.5:50001 10.0.0.9:443 ESTABLISHED
  RpcSs
 [svchost.exe]
  TCP 10.0.0.5:50002 10.0.0.9:443 ESTABLISHED
  TCP 10.0.0.5:50003 10.0.0.9:443 ESTABLISHED
 Can not obtain ownership information
  TCP 10.0.0.5:50004 10.0.0.9:443 ESTABLISHED
 [svchost.exe]
  TCP 10.0.0.5:50005 10.0.0.9:443 ESTABLISHED
 [chrome.exe]`, "3 in use, svchost.exe/0 2, chrome.exe/0 1"},
		"netstat -anob prints both": {`
  TCP 10.0.0.5:50001 10.0.0.9:443 ESTABLISHED 7
 [java.exe]
  TCP 10.0.0.5:50002 10.0.0.9:443 ESTABLISHED 7
 [java.exe]`, "2 in use, java.exe/7 2"},
		"ss -p, also where a terminal broke the line": {`
ESTAB 0 0 10.0.0.5:50001 10.0.0.9:443 users:(("java",pid=7,fd=12))
ESTAB 0 0 10.0.0.5:50002 10.0.0.9:443
 users:(("java",pid=7,fd=13))`, "2 in use, java/7 2"},
		"no process is known": {"ESTAB 0 0 10.0.0.5:50001 10.0.0.9:443", "none"},
		"Linux: of the tightest pool only": {`
tcp 0 0 10.0.0.5:50001 10.0.0.9:443 ESTABLISHED 7/java
tcp 0 0 10.0.0.5:50002 10.0.0.9:443 ESTABLISHED 7/java
tcp 0 0 10.0.0.5:50001 10.0.0.8:443 ESTABLISHED 8/node`, "2 in use, java/7 2"},
		"Windows: of every pool, since each port may be unavailable to all": {`
  TCP 10.0.0.5:50001 10.0.0.9:443 ESTABLISHED 7
  TCP 10.0.0.5:50002 10.0.0.9:443 ESTABLISHED 7
  TCP 10.0.0.5:50003 10.0.0.8:443 ESTABLISHED 8
  TCP 10.0.0.5:50004 10.0.0.7:443 ESTABLISHED 8
  TCP 10.0.0.5:50005 10.0.0.6:443 ESTABLISHED 8`, "5 in use, /8 3, /7 2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := readDump(t, test.text)
			if got := formatHolders(d); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if p, _ := d.Sample.TightestPool(); d.Sample.PoolDetail != nil && !d.Sample.PoolDetail.Describes(p) {
				t.Error("the holders are of another pool than the tightest")
			}
		})
	}
}

func TestUnobservedItemsAreReported(t *testing.T) {
	var twenty strings.Builder
	for i := range 20 {
		fmt.Fprintf(&twenty, "ESTAB 0 0 10.0.0.5:%d 10.0.0.9:443\n", 20000+i)
	}
	tests := map[string]struct{ text, what, why string }{
		"lines that can't be parsed, with their numbers": {"\nESTAB 0 0 10.0.0.5:50001 10.0.0.9:443\nESTAB 0 0 10.0.0.5:500\n", "1 of 3 lines", `line 3: truncated, or columns are missing: "ESTAB 0 0 10.0.0.5:500"`},
		"the last line, where it has no end":             {"\nESTAB 0 0 10.0.0.5:50001 10.0.0.9:443\nESTAB 0 0 10.0.0.5:500", "1 of 3 lines", `line 3: the last line is truncated`},
		"words that are not known":                       {"TCP 10.0.0.5:50001 10.0.0.9:443 ODOTTAA 0\nTCP 10.0.0.5:50002 10.0.0.9:443 ODOTTAA 0", "states with unknown names", `"ODOTTAA" on 2 lines, assumed to be TIME_WAIT`},
		"UDP":                                            {"ESTAB 0 0 10.0.0.5:50001 10.0.0.9:443", "UDP", "no UDP sockets"},
		"listeners":                                      {"ESTAB 0 0 10.0.0.5:50001 10.0.0.9:443", "listeners", "inferred from its ports"},
		"TIME_WAIT of ss without -a":                     {"ESTAB 0 0 10.0.0.5:50001 10.0.0.9:443", "TIME_WAIT", "ss -tan"},
		"repeated lines":                                 {"ESTAB 0 0 10.0.0.5:50001 10.0.0.9:443\nESTAB 0 0 10.0.0.5:50001 10.0.0.9:443", "repeated lines", "1 lines repeat a socket"},
		"IPv6 addresses that are cut":                    {"tcp6 0 0 2001:db8:85a3:8d3:50001 2001:db8:85a3:8d3::5432 ESTABLISHED", "IPv6 addresses", "netstat -W"},
		"a range that may be another":                    {twenty.String(), "client ports outside the range", "20 ports of connections, between 20000 and 20019, are outside the range 50000-50099, and 0 inside; if the range is another, set it with --range"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := readDump(t, test.text)
			for _, u := range d.Sample.Unobserved {
				if u.Item == test.what && strings.Contains(u.Reason, test.why) {
					return
				}
			}
			t.Errorf("not reported: %+v", d.Sample.Unobserved)
		})
	}
}

func TestACompleteDumpHasNothingUnobserved(t *testing.T) {
	d := readDump(t, `
  TCP 0.0.0.0:443 0.0.0.0:0 LISTENING 4
  TCP 10.0.0.5:50001 10.0.0.9:443 ESTABLISHED 7
  UDP 0.0.0.0:500 *:* 8`)
	if len(d.Sample.Unobserved) > 0 {
		t.Errorf("%+v", d.Sample.Unobserved)
	}
}

func TestALevelThatMayBeTooHighIsExplained(t *testing.T) {
	windows, linux := readDump(t, "TCP 10.0.0.5:50001 10.0.0.9:443 ESTABLISHED"), readDump(t, "ESTAB 0 0 10.0.0.5:50001 10.0.0.9:443")
	for _, c := range []struct {
		r    socket.Reader
		want socket.Exactness
		word string
	}{
		{windows.Sample.Reader, socket.Assumed, "based on the maximum number of ports"},
		{linux.Sample.Reader, socket.UpperBound, "TIME_WAIT"},
	} {
		if c.r.Name != ReaderName || c.r.Exactness != c.want || !strings.Contains(c.r.Message, c.word) || len(c.r.Message) > 512 {
			t.Errorf("%+v", c.r)
		}
	}
	p, _ := windows.Sample.TightestPool()
	if p.Used != 1 || p.UsedMax != 1 || p.Capacity != 100 {
		t.Errorf("%+v", p)
	}
}
