package dump

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/readers/osdefaults"
	"portreeve.io/portreeve/internal/ports"
)

// label is what a dump must be judged as.
type label struct {
	Level    string
	Percent  int32
	Cause    string
	Tightest string
	Rows     int
	Unread   int
}

// labelled is a dump of the corpus.
type labelled struct {
	made    string // how it was made
	text    func(testing.TB) string
	options Options
	want    label
	holder  string // of the look at the tightest pool, the first
}

// captured is a file of testdata/linux (capture_linux_test.go).
func captured(name string) func(testing.TB) string {
	return func(t testing.TB) string {
		t.Helper()
		f, err := os.Open(filepath.Join("testdata", "linux", name+".gz"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// stored is a file of testdata/windows.
func stored(name string) func(testing.TB) string {
	return func(t testing.TB) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("testdata", "windows", name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// generated is a table that fill fills.
func generated(seed uint64, tool func(*table, sock) string, header []string, fill func(*table)) func(testing.TB) string {
	return func(testing.TB) string {
		t := newTable(seed, tool)
		fill(t)
		return t.text(header...)
	}
}

func rangeOptions(first, last uint16) Options {
	return Options{Range: ports.Range{First: first, Last: last}}
}

const capturedHow = "captured in a namespace on Linux 6.18: capture_linux_test.go, scene "

// corpus is dumps and what they must be judged as.
func corpus() map[string]labelled {
	small, wide := rangeOptions(40000, 40999), rangeOptions(40000, 56383)
	db := "Host → 10.9.0.2:5432"
	v6 := "Host → [2001:db8:85a3:8d3:1319:8a2e:370:7344]:45000"
	return map[string]labelled{
		"Linux TIME_WAIT, ss -tan":        {capturedHow + "time-wait", captured("time-wait-ss-tan"), wide, label{"Warning", 54, "TimeWaitChurn", db, 8938, 0}, ""},
		"Linux TIME_WAIT, ss -tano":       {capturedHow + "time-wait", captured("time-wait-ss-tano"), wide, label{"Warning", 52, "ReusePossible", db, 8525, 0}, ""},
		"Linux TIME_WAIT, netstat -ant":   {capturedHow + "time-wait", captured("time-wait-netstat-ant"), wide, label{"Warning", 52, "TimeWaitChurn", db, 8525, 0}, ""},
		"Linux TIME_WAIT, /proc/net/tcp":  {capturedHow + "time-wait", captured("time-wait-proc"), wide, label{"Warning", 52, "ReusePossible", db, 8525, 0}, ""},
		"Linux TIME_WAIT, default range":  {capturedHow + "time-wait", captured("time-wait-ss-tan"), Options{}, label{"Normal", 31, "PoolNotTight", db, 8938, 0}, ""},
		"Linux CLOSE_WAIT, ss -tanp":      {capturedHow + "close-wait", captured("close-wait-ss-tanp"), small, label{"Critical", 90, "CloseWaitLeak", db, 900, 0}, "dump.test"},
		"Linux CLOSE_WAIT, ss -tuanp":     {capturedHow + "close-wait", captured("close-wait-ss-tuanp"), small, label{"Critical", 90, "CloseWaitLeak", db, 900, 0}, "dump.test"},
		"Linux CLOSE_WAIT, netstat -antp": {capturedHow + "close-wait", captured("close-wait-netstat-antp"), small, label{"Critical", 90, "CloseWaitLeak", db, 900, 0}, "dump.test"},
		"Linux ESTABLISHED, ss -tn":       {capturedHow + "established", captured("established-ss-tn"), small, label{"Critical", 90, "NarrowRange", db, 900, 0}, ""},
		"Linux ESTABLISHED, ss -tane":     {capturedHow + "established", captured("established-ss-tane"), small, label{"Critical", 90, "NarrowRange", db, 900, 0}, ""},
		"Linux ESTABLISHED, netstat -nt":  {capturedHow + "established", captured("established-netstat-nt"), small, label{"Critical", 90, "NarrowRange", db, 900, 0}, ""},
		"Linux FIN_WAIT2, ss -tan":        {capturedHow + "fin-wait2", captured("fin-wait2-ss-tan"), small, label{"Critical", 90, "FinWaitOrphans", db, 900, 0}, ""},
		"Linux FIN_WAIT2, /proc/net/tcp":  {capturedHow + "fin-wait2", captured("fin-wait2-proc"), small, label{"Critical", 90, "FinWaitOrphans", db, 900, 0}, ""},
		"Linux SYN_SENT, ss -tn":          {capturedHow + "syn-sent", captured("syn-sent-ss-tn"), small, label{"Critical", 90, "SynSentStall", db, 900, 0}, ""},
		"Linux SYN_SENT, /proc/net/tcp":   {capturedHow + "syn-sent", captured("syn-sent-proc"), small, label{"Critical", 90, "SynSentStall", db, 900, 0}, ""},
		"Linux IPv6, both ends, netstat -ant cuts addresses": {capturedHow + "ipv6", captured("ipv6-netstat-ant"), small,
			label{"Warning", 60, "NarrowRange", "Host → [2001:db8:85a3:8d3::]:45000", 1201, 0}, ""},
		"Linux IPv6, both ends, netstat -antW":     {capturedHow + "ipv6", captured("ipv6-netstat-antW"), small, label{"Warning", 60, "NarrowRange", v6, 1201, 0}, ""},
		"Linux IPv6, both ends, ss -tan":           {capturedHow + "ipv6", captured("ipv6-ss-tan"), small, label{"Warning", 60, "NarrowRange", v6, 1201, 0}, ""},
		"Linux IPv6, both ends, /proc/net/tcp6":    {capturedHow + "ipv6", captured("ipv6-proc"), small, label{"Warning", 60, "NarrowRange", v6, 1201, 0}, ""},
		"Linux IPv6, both ends, without listeners": {capturedHow + "ipv6", captured("ipv6-ss-tn"), small, label{"Warning", 60, "NarrowRange", v6, 1200, 0}, ""},
		"Linux IPv6, both ends in the range, without listeners": {capturedHow + "ipv6", captured("ipv6-ss-tn"), rangeOptions(40000, 45999),
			label{"Normal", 10, "PoolNotTight", v6, 1200, 0}, ""},
		"Linux, a healthy server with more TIME_WAIT than ESTABLISHED": {capturedHow + "healthy-server", captured("healthy-server-ss-tan"), small,
			label{"Normal", 0, "PoolNotTight", "Host → any", 1501, 0}, ""},
		"Linux listeners in the range":     {capturedHow + "listeners", captured("listeners-ss-tlnp"), small, label{"Warning", 70, "ListenerInRange", "Host → any", 700, 0}, ""},
		"Linux UDP, ss -uan":               {capturedHow + "udp", captured("udp-ss-uan"), small, label{"Critical", 90, "BoundPorts", "Host UDP", 900, 0}, ""},
		"Linux UDP, netstat -anu":          {capturedHow + "udp", captured("udp-netstat-anu"), small, label{"Critical", 90, "BoundPorts", "Host UDP", 900, 0}, ""},
		"Linux, a paste of three commands": {capturedHow + "close-wait, between prompts", paste, small, label{"Critical", 90, "CloseWaitLeak", db, 1800, 0}, "dump.test"},
		"Linux, cut at both ends": {capturedHow + "close-wait, without its first 150 and last 58 bytes", func(t testing.TB) string {
			text := captured("close-wait-ss-tanp")(t)
			return text[150 : len(text)-58]
		}, small, label{"Critical", 89, "CloseWaitLeak", db, 898, 2}, "dump.test"},

		"Windows XP, TIME_WAIT": {"generated, seed 1: netstat -an", generated(1, netstat, headerAN, func(t *table) {
			t.listen(135, 139, 445, 3389)
			t.clients(3500, "192.168.1.20", 1025, 5000, one("192.168.1.5:1433"), "TIME_WAIT", 0, "")
			t.add(sock{"UDP", "0.0.0.0:445", "*:*", "", 4, ""})
		}), Options{System: "windows-xp"}, label{"Critical", 88, "NarrowRange", "Host → 192.168.1.5:1433", 3505, 0}, ""},
		"Windows 2003, MaxUserPort 65534, TIME_WAIT": {"generated, seed 2: netstat -n", generated(2, netstat, headerAN, func(t *table) {
			t.clients(58_000, "10.0.0.5", 1025, 65534, one("10.0.0.9:1433"), "TIME_WAIT", 0, "")
		}), Options{System: "windows-2003", MaxUserPort: 65534}, label{"Critical", 89, "TimeWaitChurn", "Host → 10.0.0.9:1433", 58_000, 0}, ""},
		"Windows 2003, default range, ports that a service has": {"generated, seed 3: netstat -an, SQL Server in the range, its clients elsewhere", generated(3, netstat, headerAN, func(t *table) {
			t.listen(135, 445, 1433)
			for i := range 3000 {
				t.add(sock{"TCP", "10.0.0.5:1433", fmt.Sprintf("10.0.1.%d:%d", i%200, 1025+i), "ESTABLISHED", 1, ""})
			}
		}), Options{System: "windows-2003"}, label{"Normal", 0, "PoolNotTight", "Host → any", 3003, 0}, ""},
		"Windows 2003 with KB951746, CLOSE_WAIT, German in CP850": {"generated, seed 4: netstat -ano of a German edition", func(t testing.TB) string {
			text := generated(4, netstat, headerDE, func(t *table) {
				t.words, t.pids = germanWords, true
				t.listen(135, 445)
				t.clients(14_500, "10.0.0.5", 49152, 65535, one("10.0.0.9:8080"), "CLOSE_WAIT", 2212, "")
			})(t)
			return strings.ReplaceAll(text, "Ö", "\x99")
		}, Options{System: "windows-2003-kb951746"}, label{"Critical", 88, "CloseWaitLeak", "Host → 10.0.0.9:8080", 14_502, 0}, "/2212"},
		"Windows, ESTABLISHED, Chinese in UTF-16": {"generated, seed 5: netstat -ano > file in PowerShell of a Chinese edition", func(t testing.TB) string {
			return toUTF16("\ufeff"+generated(5, netstat, headerZH, func(t *table) {
				t.pids = true
				t.listen(135, 445, 49664)
				t.clients(14_000, "10.0.0.5", 49152, 65535, one("10.0.0.9:3306"), "ESTABLISHED", 4711, "")
			})(t), binary.LittleEndian)
		}, Options{}, label{"Critical", 85, "EstablishedPool", "Host → 10.0.0.9:3306", 14_003, 0}, "/4711"},
		"Windows, SYN_SENT to many destinations": {"generated, seed 6: netstat -anob", generated(6, netstat, headerANO, func(t *table) {
			t.pids, t.programs = true, true
			t.listen(135, 445)
			t.clients(9000, "10.0.0.5", 49152, 65535, spread(1, 445), "SYN_SENT", 6660, "mssecsvc.exe")
		}), Options{}, label{"Warning", 54, "SynSentStall", "Host → 10.7.0.0:445", 9002, 0}, "mssecsvc.exe/6660"},
		"Windows, bound ports, netstat -anoq": {"generated, seed 7: netstat -anoq", generated(7, netstat, headerANO, func(t *table) {
			t.pids = true
			t.listen(135, 445)
			for port := 49152; port < 49152+13_000; port++ {
				t.add(sock{"TCP", fmt.Sprintf("0.0.0.0:%d", port), "0.0.0.0:0", "BOUND", 44328, ""})
			}
		}), Options{}, label{"Warning", 79, "BoundPorts", "Host → any", 13_002, 0}, ""},
		"Windows, TIME_WAIT spread over 500 destinations": {"generated, seed 8: netstat -ano", generated(8, netstat, headerANO, func(t *table) {
			t.pids = true
			t.listen(135, 445)
			t.clients(15_000, "10.0.0.5", 49152, 65535, spread(30, 443), "TIME_WAIT", 0, "")
		}), Options{}, label{"Critical", 91, "TimeWaitChurn", "Host → 10.7.0.0:443", 15_002, 0}, ""},
		"Windows, a busy web server": {"generated, seed 9: netstat -an, 40,000 clients, most in TIME_WAIT", generated(9, netstat, headerAN, func(t *table) {
			t.listen(80, 135, 443, 445)
			for i := range 40_000 {
				state := "TIME_WAIT"
				if i%4 == 0 {
					state = "ESTABLISHED"
				}
				t.add(sock{"TCP", "10.0.0.5:443", fmt.Sprintf("172.16.%d.%d:%d", i>>8&255, i&255, 1024+i), state, 0, ""})
			}
		}), Options{}, label{"Normal", 0, "PoolNotTight", "Host → any", 40_004, 0}, ""},
		"Windows, TIME_WAIT of the server on the same host": {"generated, seed 10: netstat -ano as in tailscale issue 20039: local port 8080, the clients' ports are this host's, too", generated(10, netstat, headerANO, func(t *table) {
			t.pids = true
			t.listen(135, 8080)
			for port := 49152; port < 49152+16_000; port++ {
				t.add(sock{"TCP", "100.100.100.108:8080", fmt.Sprintf("100.100.100.108:%d", port), "TIME_WAIT", 0, ""})
			}
		}), Options{}, label{"Critical", 97, "TimeWaitChurn", "Host → 100.100.100.108:8080", 16_002, 0}, ""},
		"Windows, TCPView 3, CLOSE_WAIT": {"generated, seed 11: saved by TCPView 3", generated(11, tcpView3, header3, func(t *table) {
			t.listen(135, 445)
			t.clients(9000, "10.0.0.5", 49152, 65535, one("10.0.0.9:443"), "CLOSE_WAIT", 5120, "chrome.exe")
		}), Options{}, label{"Warning", 54, "CloseWaitLeak", "Host → 10.0.0.9:443", 9002, 0}, "chrome.exe/5120"},
		"Windows, TCPView 4, TIME_WAIT": {"generated, seed 12: CSV of TCPView 4", generated(12, tcpView4, header4, func(t *table) {
			t.listen(135, 445)
			t.clients(12_000, "10.0.0.5", 49152, 65535, one("10.0.0.9:443"), "TIME_WAIT", 0, "")
		}), Options{}, label{"Warning", 73, "TimeWaitChurn", "Host → 10.0.0.9:443", 12_002, 0}, ""},
		"Windows, Get-NetTCPConnection, bound ports": {"generated, seed 13: Get-NetTCPConnection", generated(13, netTCPConnection, headerPS, func(t *table) {
			t.listen(135, 445)
			t.clients(4000, "10.0.0.5", 49152, 55000, one("10.0.0.9:443"), "ESTABLISHED", 44328, "")
			for port := 56000; port < 65000; port++ {
				t.add(sock{"TCP", fmt.Sprintf("0.0.0.0:%d", port), "0.0.0.0:0", "BOUND", 44328, ""})
			}
		}), Options{}, label{"Warning", 79, "BoundPorts", "Host → 10.0.0.9:443", 13_002, 0}, "/44328"},
		"Windows XP, both ends on one host, without listeners": {"generated, seed 14: netstat -n, SQL Server on the same host", generated(14, netstat, headerAN, func(t *table) {
			for port := 1500; port < 4500; port++ {
				t.add(sock{"TCP", fmt.Sprintf("127.0.0.1:%d", port), "127.0.0.1:1434", "ESTABLISHED", 0, ""})
				t.add(sock{"TCP", "127.0.0.1:1434", fmt.Sprintf("127.0.0.1:%d", port), "ESTABLISHED", 0, ""})
			}
		}), Options{System: "windows-xp"}, label{"Warning", 75, "NarrowRange", "Host → 127.0.0.1:1434", 6000, 0}, ""},
		"Windows, long IPv6 addresses with zones": {"generated, seed 15: netstat -an", generated(15, netstat, headerAN, func(t *table) {
			t.listen(135, 445)
			for port := 50000; port < 59000; port++ {
				t.add(sock{"TCP", fmt.Sprintf("[fe80::c08d:4c5d:8f3e:8e4e%%11]:%d", port), "[fe80::1c2d:3e4f:5a6b:7c8d%11]:445", "FIN_WAIT_2", 0, ""})
			}
		}), Options{}, label{"Warning", 54, "FinWaitOrphans", "Host → [fe80::1c2d:3e4f:5a6b:7c8d%11]:445", 9002, 0}, ""},
		"Windows, MaxUserPort 1000, Spanish": {"generated, seed 16: netstat -ano of a Spanish edition in CP1252", func(t testing.TB) string {
			text := generated(16, netstat, headerES, func(t *table) {
				t.pids, t.words = true, map[string]string{"LISTENING": "ESCUCHANDO", "ESTABLISHED": "ESTABLECIDO"}
				t.listen(135, 445)
				t.clients(700, "10.0.0.5", 49152, 50151, one("10.0.0.9:443"), "ESTABLISHED", 900, "")
			})(t)
			return strings.ReplaceAll(text, "ó", "\xf3")
		}, Options{System: osdefaults.Windows, MaxUserPort: 1000}, label{"Warning", 70, "NarrowRange", "Host → 10.0.0.9:443", 702, 0}, "/900"},
		"Windows, words that nobody knows": {"generated, seed 17: netstat -ano with invented words", generated(17, netstat, headerANO, func(t *table) {
			t.pids, t.words = true, map[string]string{"LISTENING": "KUUNTELEE", "TIME_WAIT": "ODOTTAA", "ESTABLISHED": "MUODOSTETTU"}
			t.listen(135, 445)
			t.clients(10_000, "10.0.0.5", 49152, 60000, one("10.0.0.9:443"), "TIME_WAIT", 0, "")
			t.clients(500, "10.0.0.5", 61000, 65000, one("10.0.0.9:443"), "ESTABLISHED", 7, "")
		}), Options{}, label{"Warning", 64, "TimeWaitChurn", "Host → 10.0.0.9:443", 10_502, 0}, "/7"},
		"Windows, names instead of numbers here and there": {"generated, seed 18: netstat -ao among netstat -ano", generated(18, netstat, headerANO, func(t *table) {
			t.pids = true
			t.clients(9000, "10.0.0.5", 49152, 65535, one("10.0.0.9:443"), "CLOSE_WAIT", 7, "")
			for range 30 {
				t.add(sock{"TCP", "web-1:50000", "db.example.com:https", "ESTABLISHED", 7, ""})
			}
		}), Options{}, label{"Warning", 54, "CloseWaitLeak", "Host → 10.0.0.9:443", 9000, 30}, "/7"},
		"Windows, the same table twice": {"generated, seed 19: netstat -ano, twice in one file", func(t testing.TB) string {
			text := generated(19, netstat, headerANO, func(t *table) {
				t.pids = true
				t.listen(135, 445)
				t.clients(9000, "10.0.0.5", 49152, 65535, one("10.0.0.9:443"), "CLOSE_WAIT", 7, "")
			})(t)
			return text + text
		}, Options{}, label{"Warning", 54, "CloseWaitLeak", "Host → 10.0.0.9:443", 18_004, 0}, "/7"},
		"Windows, a desktop in German": {"typed after a table that a school report shows (htl-wels, 2019): German in CP850, taken for CP1252", stored("desktop-german"), Options{},
			label{"Normal", 0, "PoolNotTight", "Host → 127.0.0.1:44080", 41, 0}, ""},
		"Windows 2000, netstat -an": {"typed in the layout of Windows 2000", stored("windows-2000"), Options{System: "windows-2000"},
			label{"Normal", 0, "PoolNotTight", "Host → 192.168.0.2:139", 12, 0}, ""},
		"Windows XP, netstat -anbv": {"typed in the layout of Windows XP: components, unknown components", stored("windows-xp-anb"), Options{System: "windows-xp"},
			label{"Normal", 0, "PoolNotTight", "Host → 207.46.4.99:80", 6, 0}, "msnmsgr.exe/1712"},
	}
}

// paste is a terminal's text: prompts, and one host in two tools.
func paste(t testing.TB) string {
	return "root@web-1:~# date\nWed Nov 21 10:31:07 UTC 2026\nroot@web-1:~# ss -s\nTotal: 912\nTCP:   900 (estab 0, closed 0, orphaned 0, timewait 0)\n\n" +
		"Transport Total     IP        IPv6\nTCP       900       900       0\n\nroot@web-1:~# ss -tanp\n" + captured("close-wait-ss-tanp")(t) +
		"root@web-1:~# netstat -antp\n" + captured("close-wait-netstat-antp")(t) + "root@web-1:~# exit\nlogout\n"
}

func TestCorpus(t *testing.T) {
	all := corpus()
	if len(all) < 40 {
		t.Fatalf("%d dumps", len(all))
	}
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			d, err := Read(strings.NewReader(c.text(t)), c.options)
			if err != nil {
				t.Fatalf("%s: %v", c.made, err)
			}
			status := assess.Status(d.Sample, assess.Facts{Explain: true, System: cause.System{
				Windows: d.System.Windows, MaxUserPort: d.System.MaxUserPort == osdefaults.LastPort, TimeWait: d.System.TimeWait,
			}})
			got := label{string(status.Level), *status.UsedPercent, string(status.Cause), status.Tightest.Summary, d.Rows, d.Unread}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: %s", c.made, diff)
			}
			holder := ""
			if l := d.Sample.Look; l != nil && len(l.Holders) > 0 {
				holder = l.Holders[0].Process
				if !strings.HasPrefix(c.holder, holder) || holder == "" || strings.Contains(c.holder, "/") {
					holder = fmt.Sprintf("%s/%d", holder, l.Holders[0].PID)
				}
			}
			if holder != c.holder {
				t.Errorf("held by %q, want %q", holder, c.holder)
			}
		})
	}
}

// TestEveryCaptureIsInTheCorpus: a file that nothing reads proves nothing.
func TestEveryFileIsInTheCorpus(t *testing.T) {
	source, err := os.ReadFile("corpus_test.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/*/*")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		if !bytes.Contains(source, []byte(`"`+name+`")`)) {
			t.Errorf("%s is in no case", file)
		}
	}
}
