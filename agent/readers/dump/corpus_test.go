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

// expectation is the expected result for a dump.
type expectation struct {
	Level    string
	Percent  int32
	Cause    string
	Tightest string
	Rows     int
	Unread   int
}

// corpusDump is a dump of the corpus.
type corpusDump struct {
	source  string // how it was made
	text    func(testing.TB) string
	options Options
	want    expectation
	holder  string // the first one of the tightest pool
}

// readCapture returns the reader of a file of testdata/linux (capture_linux_test.go).
func readCapture(name string) func(testing.TB) string {
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

// readTranscript returns the reader of a file of testdata/windows.
func readTranscript(name string) func(testing.TB) string {
	return func(t testing.TB) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("testdata", "windows", name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// generate returns the generator of a table that fill fills.
func generate(seed uint64, tool func(*tableGenerator, generatedSocket) string, header []string, fill func(*tableGenerator)) func(testing.TB) string {
	return func(testing.TB) string {
		t := newTableGenerator(seed, tool)
		fill(t)
		return t.formatText(header...)
	}
}

func rangeOptions(first, last uint16) Options {
	return Options{Range: ports.Range{First: first, Last: last}}
}

const captureSource = "captured in a namespace on Linux 6.18: capture_linux_test.go, scenario "

// newCorpus returns dumps and their expected results.
func newCorpus() map[string]corpusDump {
	small, wide := rangeOptions(40000, 40999), rangeOptions(40000, 56383)
	db := "Network → 10.9.0.2:5432"
	v6 := "Network → [2001:db8:85a3:8d3:1319:8a2e:370:7344]:45000"
	return map[string]corpusDump{
		"Linux TIME_WAIT, ss -tan":        {captureSource + "time-wait", readCapture("time-wait-ss-tan"), wide, expectation{"Warning", 54, "TimeWaitChurn", db, 8938, 0}, ""},
		"Linux TIME_WAIT, ss -tano":       {captureSource + "time-wait", readCapture("time-wait-ss-tano"), wide, expectation{"Warning", 52, "TimeWaitChurn", db, 8525, 0}, ""},
		"Linux TIME_WAIT, netstat -ant":   {captureSource + "time-wait", readCapture("time-wait-netstat-ant"), wide, expectation{"Warning", 52, "TimeWaitChurn", db, 8525, 0}, ""},
		"Linux TIME_WAIT, /proc/net/tcp":  {captureSource + "time-wait", readCapture("time-wait-proc"), wide, expectation{"Warning", 52, "TimeWaitChurn", db, 8525, 0}, ""},
		"Linux TIME_WAIT, default range":  {captureSource + "time-wait", readCapture("time-wait-ss-tan"), Options{}, expectation{"Normal", 31, "PoolNotTight", db, 8938, 0}, ""},
		"Linux CLOSE_WAIT, ss -tanp":      {captureSource + "close-wait", readCapture("close-wait-ss-tanp"), small, expectation{"Critical", 90, "CloseWaitLeak", db, 900, 0}, "dump.test"},
		"Linux CLOSE_WAIT, ss -tuanp":     {captureSource + "close-wait", readCapture("close-wait-ss-tuanp"), small, expectation{"Critical", 90, "CloseWaitLeak", db, 900, 0}, "dump.test"},
		"Linux CLOSE_WAIT, netstat -antp": {captureSource + "close-wait", readCapture("close-wait-netstat-antp"), small, expectation{"Critical", 90, "CloseWaitLeak", db, 900, 0}, "dump.test"},
		"Linux ESTABLISHED, ss -tn":       {captureSource + "established", readCapture("established-ss-tn"), small, expectation{"Critical", 90, "NarrowRange", db, 900, 0}, ""},
		"Linux ESTABLISHED, ss -tane":     {captureSource + "established", readCapture("established-ss-tane"), small, expectation{"Critical", 90, "NarrowRange", db, 900, 0}, ""},
		"Linux ESTABLISHED, netstat -nt":  {captureSource + "established", readCapture("established-netstat-nt"), small, expectation{"Critical", 90, "NarrowRange", db, 900, 0}, ""},
		"Linux FIN_WAIT2, ss -tan":        {captureSource + "fin-wait2", readCapture("fin-wait2-ss-tan"), small, expectation{"Critical", 90, "FinWaitOrphans", db, 900, 0}, ""},
		"Linux FIN_WAIT2, /proc/net/tcp":  {captureSource + "fin-wait2", readCapture("fin-wait2-proc"), small, expectation{"Critical", 90, "FinWaitOrphans", db, 900, 0}, ""},
		"Linux SYN_SENT, ss -tn":          {captureSource + "syn-sent", readCapture("syn-sent-ss-tn"), small, expectation{"Critical", 90, "SynSentStall", db, 900, 0}, ""},
		"Linux SYN_SENT, /proc/net/tcp":   {captureSource + "syn-sent", readCapture("syn-sent-proc"), small, expectation{"Critical", 90, "SynSentStall", db, 900, 0}, ""},
		"Linux IPv6, both ends, netstat -ant cuts addresses": {captureSource + "ipv6", readCapture("ipv6-netstat-ant"), small,
			expectation{"Warning", 60, "NarrowRange", "Network → [2001:db8:85a3:8d3::]:45000", 1201, 0}, ""},
		"Linux IPv6, both ends, netstat -antW":     {captureSource + "ipv6", readCapture("ipv6-netstat-antW"), small, expectation{"Warning", 60, "NarrowRange", v6, 1201, 0}, ""},
		"Linux IPv6, both ends, ss -tan":           {captureSource + "ipv6", readCapture("ipv6-ss-tan"), small, expectation{"Warning", 60, "NarrowRange", v6, 1201, 0}, ""},
		"Linux IPv6, both ends, /proc/net/tcp6":    {captureSource + "ipv6", readCapture("ipv6-proc"), small, expectation{"Warning", 60, "NarrowRange", v6, 1201, 0}, ""},
		"Linux IPv6, both ends, without listeners": {captureSource + "ipv6", readCapture("ipv6-ss-tn"), small, expectation{"Warning", 60, "NarrowRange", v6, 1200, 0}, ""},
		"Linux IPv6, both ends in the range, without listeners": {captureSource + "ipv6", readCapture("ipv6-ss-tn"), rangeOptions(40000, 45999),
			expectation{"Normal", 10, "PortRangeCollision", v6, 1200, 0}, ""},
		"Linux, a healthy server with more TIME_WAIT than ESTABLISHED": {captureSource + "healthy-server", readCapture("healthy-server-ss-tan"), small,
			expectation{"Normal", 0, "PoolNotTight", "Network → any", 1501, 0}, ""},
		"Linux listeners in the range":     {captureSource + "listeners", readCapture("listeners-ss-tlnp"), small, expectation{"Warning", 70, "ListenerInRange", "Network → any", 700, 0}, "dump.test"},
		"Linux UDP, ss -uan":               {captureSource + "udp", readCapture("udp-ss-uan"), small, expectation{"Critical", 90, "BoundPorts", "Network UDP", 900, 0}, ""},
		"Linux UDP, netstat -anu":          {captureSource + "udp", readCapture("udp-netstat-anu"), small, expectation{"Critical", 90, "BoundPorts", "Network UDP", 900, 0}, ""},
		"Linux, a paste of three commands": {captureSource + "close-wait, between prompts", pasteTerminal, small, expectation{"Critical", 90, "CloseWaitLeak", db, 1800, 0}, "dump.test"},
		"Linux, cut at both ends": {captureSource + "close-wait, without its first 150 and last 58 bytes", func(t testing.TB) string {
			text := readCapture("close-wait-ss-tanp")(t)
			return text[150 : len(text)-58]
		}, small, expectation{"Critical", 89, "CloseWaitLeak", db, 898, 2}, "dump.test"},

		"Windows XP, TIME_WAIT": {"generated, seed 1: netstat -an", generate(1, formatNetstat, headerAN, func(t *tableGenerator) {
			t.addListeners(135, 139, 445, 3389)
			t.addClients(3500, "192.168.1.20", 1025, 5000, toOne("192.168.1.5:1433"), "TIME_WAIT", 0, "")
			t.addSocket(generatedSocket{"UDP", "0.0.0.0:445", "*:*", "", 4, ""})
		}), Options{System: "windows-xp"}, expectation{"Critical", 88, "NarrowRange", "Network → 192.168.1.5:1433", 3505, 0}, ""},
		"Windows 2003, MaxUserPort 65534, TIME_WAIT": {"generated, seed 2: netstat -n", generate(2, formatNetstat, headerAN, func(t *tableGenerator) {
			t.addClients(58_000, "10.0.0.5", 1025, 65534, toOne("10.0.0.9:1433"), "TIME_WAIT", 0, "")
		}), Options{System: "windows-2003", MaxUserPort: 65534}, expectation{"Critical", 89, "TimeWaitChurn", "Network → 10.0.0.9:1433", 58_000, 0}, ""},
		"Windows 2003, default range, ports that a service has": {"generated, seed 3: netstat -an, SQL Server in the range, its clients elsewhere", generate(3, formatNetstat, headerAN, func(t *tableGenerator) {
			t.addListeners(135, 445, 1433)
			for i := range 3000 {
				t.addSocket(generatedSocket{"TCP", "10.0.0.5:1433", fmt.Sprintf("10.0.1.%d:%d", i%200, 1025+i), "ESTABLISHED", 1, ""})
			}
		}), Options{System: "windows-2003"}, expectation{"Normal", 0, "PoolNotTight", "Network → any", 3003, 0}, ""},
		"Windows 2003 with KB951746, CLOSE_WAIT, German in CP850": {"generated, seed 4: netstat -ano of a German edition", func(t testing.TB) string {
			text := generate(4, formatNetstat, headerDE, func(t *tableGenerator) {
				t.words, t.pids = germanWords, true
				t.addListeners(135, 445)
				t.addClients(14_500, "10.0.0.5", 49152, 65535, toOne("10.0.0.9:8080"), "CLOSE_WAIT", 2212, "")
			})(t)
			return strings.ReplaceAll(text, "Ö", "\x99")
		}, Options{System: "windows-2003-kb951746"}, expectation{"Critical", 88, "CloseWaitLeak", "Network → 10.0.0.9:8080", 14_502, 0}, "/2212"},
		"Windows, ESTABLISHED, Chinese in UTF-16": {"generated, seed 5: netstat -ano > file in PowerShell of a Chinese edition", func(t testing.TB) string {
			return encodeUTF16("\ufeff"+generate(5, formatNetstat, headerZH, func(t *tableGenerator) {
				t.pids = true
				t.addListeners(135, 445, 49664)
				t.addClients(14_000, "10.0.0.5", 49152, 65535, toOne("10.0.0.9:3306"), "ESTABLISHED", 4711, "")
			})(t), binary.LittleEndian)
		}, Options{}, expectation{"Critical", 85, "EstablishedPool", "Network → 10.0.0.9:3306", 14_003, 0}, "/4711"},
		"Windows, SYN_SENT to many destinations": {"generated, seed 6: netstat -anob", generate(6, formatNetstat, headerANO, func(t *tableGenerator) {
			t.pids, t.programs = true, true
			t.addListeners(135, 445)
			t.addClients(9000, "10.0.0.5", 49152, 65535, spreadOver(1, 445), "SYN_SENT", 6660, "mssecsvc.exe")
		}), Options{}, expectation{"Warning", 54, "SynSentStall", "Network → 10.7.0.0:445", 9002, 0}, "mssecsvc.exe/6660"},
		"Windows, bound ports, netstat -anoq": {"generated, seed 7: netstat -anoq", generate(7, formatNetstat, headerANO, func(t *tableGenerator) {
			t.pids = true
			t.addListeners(135, 445)
			for port := 49152; port < 49152+13_000; port++ {
				t.addSocket(generatedSocket{"TCP", fmt.Sprintf("0.0.0.0:%d", port), "0.0.0.0:0", "BOUND", 44328, ""})
			}
		}), Options{}, expectation{"Warning", 79, "BoundPorts", "Network → any", 13_002, 0}, "/44328"},
		"Windows, TIME_WAIT spread over 500 destinations": {"generated, seed 8: netstat -ano", generate(8, formatNetstat, headerANO, func(t *tableGenerator) {
			t.pids = true
			t.addListeners(135, 445)
			t.addClients(15_000, "10.0.0.5", 49152, 65535, spreadOver(30, 443), "TIME_WAIT", 0, "")
		}), Options{}, expectation{"Critical", 91, "TimeWaitChurn", "Network → 10.7.0.0:443", 15_002, 0}, ""},
		"Windows, a busy web server": {"generated, seed 9: netstat -an, 40,000 clients, most in TIME_WAIT", generate(9, formatNetstat, headerAN, func(t *tableGenerator) {
			t.addListeners(80, 135, 443, 445)
			for i := range 40_000 {
				state := "TIME_WAIT"
				if i%4 == 0 {
					state = "ESTABLISHED"
				}
				t.addSocket(generatedSocket{"TCP", "10.0.0.5:443", fmt.Sprintf("172.16.%d.%d:%d", i>>8&255, i&255, 1024+i), state, 0, ""})
			}
		}), Options{}, expectation{"Normal", 0, "PoolNotTight", "Network → any", 40_004, 0}, ""},
		"Windows, TIME_WAIT of the server on the same host": {"generated, seed 10: netstat -ano as in tailscale issue 20039: local port 8080, the clients' ports are this host's, too", generate(10, formatNetstat, headerANO, func(t *tableGenerator) {
			t.pids = true
			t.addListeners(135, 8080)
			for port := 49152; port < 49152+16_000; port++ {
				t.addSocket(generatedSocket{"TCP", "100.100.100.108:8080", fmt.Sprintf("100.100.100.108:%d", port), "TIME_WAIT", 0, ""})
			}
		}), Options{}, expectation{"Critical", 97, "TimeWaitChurn", "Network → 100.100.100.108:8080", 16_002, 0}, ""},
		"Windows, TCPView 3, CLOSE_WAIT": {"generated, seed 11: saved by TCPView 3", generate(11, formatTCPView3, header3, func(t *tableGenerator) {
			t.addListeners(135, 445)
			t.addClients(9000, "10.0.0.5", 49152, 65535, toOne("10.0.0.9:443"), "CLOSE_WAIT", 5120, "chrome.exe")
		}), Options{}, expectation{"Warning", 54, "CloseWaitLeak", "Network → 10.0.0.9:443", 9002, 0}, "chrome.exe/5120"},
		"Windows, TCPView 4, TIME_WAIT": {"generated, seed 12: CSV of TCPView 4", generate(12, formatTCPView4, header4, func(t *tableGenerator) {
			t.addListeners(135, 445)
			t.addClients(12_000, "10.0.0.5", 49152, 65535, toOne("10.0.0.9:443"), "TIME_WAIT", 0, "")
		}), Options{}, expectation{"Warning", 73, "TimeWaitChurn", "Network → 10.0.0.9:443", 12_002, 0}, ""},
		"Windows, Get-NetTCPConnection, bound ports": {"generated, seed 13: Get-NetTCPConnection", generate(13, formatNetTCPConnection, headerPS, func(t *tableGenerator) {
			t.addListeners(135, 445)
			t.addClients(4000, "10.0.0.5", 49152, 55000, toOne("10.0.0.9:443"), "ESTABLISHED", 44328, "")
			for port := 56000; port < 65000; port++ {
				t.addSocket(generatedSocket{"TCP", fmt.Sprintf("0.0.0.0:%d", port), "0.0.0.0:0", "BOUND", 44328, ""})
			}
		}), Options{}, expectation{"Warning", 79, "BoundPorts", "Network → 10.0.0.9:443", 13_002, 0}, "/44328"},
		"Windows XP, both ends on one host, without listeners": {"generated, seed 14: netstat -n, SQL Server on the same host", generate(14, formatNetstat, headerAN, func(t *tableGenerator) {
			for port := 1500; port < 4500; port++ {
				t.addSocket(generatedSocket{"TCP", fmt.Sprintf("127.0.0.1:%d", port), "127.0.0.1:1434", "ESTABLISHED", 0, ""})
				t.addSocket(generatedSocket{"TCP", "127.0.0.1:1434", fmt.Sprintf("127.0.0.1:%d", port), "ESTABLISHED", 0, ""})
			}
		}), Options{System: "windows-xp"}, expectation{"Warning", 75, "NarrowRange", "Network → 127.0.0.1:1434", 6000, 0}, ""},
		"Windows, long IPv6 addresses with zones": {"generated, seed 15: netstat -an", generate(15, formatNetstat, headerAN, func(t *tableGenerator) {
			t.addListeners(135, 445)
			for port := 50000; port < 59000; port++ {
				t.addSocket(generatedSocket{"TCP", fmt.Sprintf("[fe80::c08d:4c5d:8f3e:8e4e%%11]:%d", port), "[fe80::1c2d:3e4f:5a6b:7c8d%11]:445", "FIN_WAIT_2", 0, ""})
			}
		}), Options{}, expectation{"Warning", 54, "FinWaitOrphans", "Network → [fe80::1c2d:3e4f:5a6b:7c8d%11]:445", 9002, 0}, ""},
		"Windows, MaxUserPort 1000, Spanish": {"generated, seed 16: netstat -ano of a Spanish edition in CP1252", func(t testing.TB) string {
			text := generate(16, formatNetstat, headerES, func(t *tableGenerator) {
				t.pids, t.words = true, map[string]string{"LISTENING": "ESCUCHANDO", "ESTABLISHED": "ESTABLECIDO"}
				t.addListeners(135, 445)
				t.addClients(700, "10.0.0.5", 49152, 50151, toOne("10.0.0.9:443"), "ESTABLISHED", 900, "")
			})(t)
			return strings.ReplaceAll(text, "ó", "\xf3")
		}, Options{System: osdefaults.Windows, MaxUserPort: 1000}, expectation{"Warning", 70, "NarrowRange", "Network → 10.0.0.9:443", 702, 0}, "/900"},
		"Windows, unknown state names": {"generated, seed 17: netstat -ano with invented words", generate(17, formatNetstat, headerANO, func(t *tableGenerator) {
			t.pids, t.words = true, map[string]string{"LISTENING": "KUUNTELEE", "TIME_WAIT": "ODOTTAA", "ESTABLISHED": "MUODOSTETTU"}
			t.addListeners(135, 445)
			t.addClients(10_000, "10.0.0.5", 49152, 60000, toOne("10.0.0.9:443"), "TIME_WAIT", 0, "")
			t.addClients(500, "10.0.0.5", 61000, 65000, toOne("10.0.0.9:443"), "ESTABLISHED", 7, "")
		}), Options{}, expectation{"Warning", 64, "TimeWaitChurn", "Network → 10.0.0.9:443", 10_502, 0}, "/7"},
		"Windows, names instead of numbers here and there": {"generated, seed 18: netstat -ao among netstat -ano", generate(18, formatNetstat, headerANO, func(t *tableGenerator) {
			t.pids = true
			t.addClients(9000, "10.0.0.5", 49152, 65535, toOne("10.0.0.9:443"), "CLOSE_WAIT", 7, "")
			for range 30 {
				t.addSocket(generatedSocket{"TCP", "web-1:50000", "db.example.com:https", "ESTABLISHED", 7, ""})
			}
		}), Options{}, expectation{"Warning", 54, "CloseWaitLeak", "Network → 10.0.0.9:443", 9000, 30}, "/7"},
		"Windows, the same table twice": {"generated, seed 19: netstat -ano, twice in one file", func(t testing.TB) string {
			text := generate(19, formatNetstat, headerANO, func(t *tableGenerator) {
				t.pids = true
				t.addListeners(135, 445)
				t.addClients(9000, "10.0.0.5", 49152, 65535, toOne("10.0.0.9:443"), "CLOSE_WAIT", 7, "")
			})(t)
			return text + text
		}, Options{}, expectation{"Warning", 54, "CloseWaitLeak", "Network → 10.0.0.9:443", 18_004, 0}, "/7"},
		"Windows, a desktop in German": {"typed after a table that a school report shows (htl-wels, 2019): German in CP850, taken for CP1252", readTranscript("desktop-german"), Options{},
			expectation{"Normal", 0, "PoolNotTight", "Network → 127.0.0.1:44080", 41, 0}, ""},
		"Windows 2000, netstat -an": {"typed in the layout of Windows 2000", readTranscript("windows-2000"), Options{System: "windows-2000"},
			expectation{"Normal", 0, "PoolNotTight", "Network → 192.168.0.2:139", 12, 0}, ""},
		"Windows XP, netstat -anbv": {"typed in the layout of Windows XP: components, unknown components", readTranscript("windows-xp-anb"), Options{System: "windows-xp"},
			expectation{"Normal", 0, "PoolNotTight", "Network → 207.46.4.99:80", 6, 0}, "alg.exe/1492"},
	}
}

// pasteTerminal returns the text of a terminal: prompts, and one host in two tools.
func pasteTerminal(t testing.TB) string {
	return "root@web-1:~# date\nWed Nov 21 10:31:07 UTC 2026\nroot@web-1:~# ss -s\nTotal: 912\nTCP:   900 (estab 0, closed 0, orphaned 0, timewait 0)\n\n" +
		"Transport Total     IP        IPv6\nTCP       900       900       0\n\nroot@web-1:~# ss -tanp\n" + readCapture("close-wait-ss-tanp")(t) +
		"root@web-1:~# netstat -antp\n" + readCapture("close-wait-netstat-antp")(t) + "root@web-1:~# exit\nlogout\n"
}

func TestCorpus(t *testing.T) {
	all := newCorpus()
	if len(all) < 40 {
		t.Fatalf("%d dumps", len(all))
	}
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			d, err := Read(strings.NewReader(c.text(t)), c.options)
			if err != nil {
				t.Fatalf("%s: %v", c.source, err)
			}
			status := assess.BuildStatus(d.Sample, assess.Facts{Explain: true, System: cause.System{
				IsWindows: d.System.Windows, UsesMaxUserPort: d.System.MaxUserPort == osdefaults.LastPort, TimeWait: d.System.TimeWait,
			}})
			got := expectation{string(status.Level), *status.UsedPercent, string(status.Cause), status.Tightest.Summary, d.Rows, d.Unread}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: %s", c.source, diff)
			}
			holder := ""
			if l := d.Sample.PoolDetail; l != nil && len(l.Holders) > 0 {
				holder = l.Holders[0].Process
				if !strings.HasPrefix(c.holder, holder) || holder == "" || strings.Contains(c.holder, "/") {
					holder = fmt.Sprintf("%s/%d", holder, l.Holders[0].PID)
				}
			}
			if holder != c.holder {
				t.Errorf("the holder is %q, want %q", holder, c.holder)
			}
		})
	}
}

// TestEveryFileIsInTheCorpus finds files of testdata that no test reads.
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
			t.Errorf("%s is not in the corpus", file)
		}
	}
}
