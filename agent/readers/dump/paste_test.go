package dump

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// pastedRows is the number of sockets in the dumps of these tests, with the ports from 40000.
const pastedRows = 60

// formatRows formats a row for each port with the format, which may use the port several times.
func formatRows(format string) []string {
	var rows []string
	for i := range pastedRows {
		rows = append(rows, strings.ReplaceAll(format, "PORT", fmt.Sprint(40000+i)))
	}
	return rows
}

func joinRows(format string) string { return strings.Join(formatRows(format), "\n") }

// toolRows has a row of each tool. The process is java, or PID 4711 on Windows.
var toolRows = map[string]string{
	"netstat":         "tcp        0      0 10.0.0.4:PORT          10.0.0.9:3306           CLOSE_WAIT  4711/java",
	"ss":              `CLOSE-WAIT 1      0      10.0.0.4:PORT      10.0.0.9:3306  users:(("java",pid=4711,fd=7))`,
	"ss -tu":          `tcp   CLOSE-WAIT 1      0      10.0.0.4:PORT      10.0.0.9:3306  users:(("java",pid=4711,fd=7))`,
	"Windows netstat": "  TCP    10.0.0.4:PORT         10.0.0.9:3306          CLOSE_WAIT      4711",
	"lsof":            "java      4711 root 7u  IPv4 42000      0t0  TCP 10.0.0.4:PORT->10.0.0.9:3306 (CLOSE_WAIT)",
}

// checkPaste checks that a dump has pastedRows ports in CLOSE_WAIT of one process.
func checkPaste(t *testing.T, text string, o Options) {
	t.Helper()
	o.Range = ports.Range{First: 40000, Last: 40099}
	d, err := Read(strings.NewReader(text), o)
	if err != nil {
		t.Fatalf("%v in\n%.300s", err, text)
	}
	n := &d.Sample.Networks[0]
	if n.States[tcpstate.CloseWait] != pastedRows || n.InUse != pastedRows || d.Rows != pastedRows || d.Unread != 0 {
		t.Errorf("%d rows, %d not understood %v, %d ports, states %v in\n%.300s", d.Rows, d.Unread, d.Sample.Unobserved, n.InUse, n.States, text)
	}
	l := d.Sample.PoolDetail
	if l == nil || len(l.Holders) != 1 || l.Holders[0].Sockets != pastedRows || l.Holders[0].Process != "java" && l.Holders[0].PID != 4711 {
		t.Errorf("the holder is %+v in\n%.300s", l, text)
	}
}

func TestRowsAreReadWhateverIsAroundThem(t *testing.T) {
	around := map[string]func(i int, row string) string{
		"quoted twice":       func(_ int, row string) string { return "> > " + row },
		"a time":             func(i int, row string) string { return fmt.Sprintf("2026-03-01T10:00:%02d.123456789Z %s", i, row) },
		"a time in brackets": func(i int, row string) string { return fmt.Sprintf("[2026-03-01 10:00:%02d] %s", i, row) },
		"grep -H":            func(_ int, row string) string { return "dir/node7.txt:" + row },
		"grep -Hn":           func(i int, row string) string { return fmt.Sprintf("node7.txt:%d:%s", i, row) },
		"findstr /n":         func(i int, row string) string { return fmt.Sprintf("%d:%s", i, row) },
		"cat -n":             func(i int, row string) string { return fmt.Sprintf("%6d\t%s", i, row) },
		"syslog":             func(i int, row string) string { return fmt.Sprintf("Mar  1 10:00:00 node7 netstat[12%d]: %s", i, row) },
		"docker compose":     func(_ int, row string) string { return "web_1  | " + row },
		"kubectl --prefix":   func(_ int, row string) string { return "[pod/web-1/app] " + row },
		"the address of a node": func(_ int, row string) string {
			return "10.22.1.21   " + row
		},
		"a list": func(_ int, row string) string { return "- " + row },
		"CRLF":   func(_ int, row string) string { return row + "\r" },
		"code":   func(_ int, row string) string { return "`" + row + "`" },
		"comma":  func(_ int, row string) string { return row + "," },
		"HTML":   func(_ int, row string) string { return strings.ReplaceAll(row, " ", "\u00a0") + "<br>" },
		"colours of grep": func(_ int, row string) string {
			return "\x1b[35mnode7.txt\x1b[m:" + strings.ReplaceAll(row, "CLOSE", "\x1b[01;31m\x1b[KCLOSE\x1b[m\x1b[K")
		},
		"log JSON": func(_ int, row string) string {
			return formatJSON(map[string]string{"log": row + "\n", "stream": "stdout"})
		},
	}
	for tool, format := range toolRows {
		for name, wrap := range around {
			t.Run(tool+"/"+name, func(t *testing.T) {
				rows := formatRows(format)
				for i := range rows {
					rows[i] = wrap(i, rows[i])
				}
				checkPaste(t, strings.Join(rows, "\n"), Options{})
			})
		}
	}
}

func formatJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of a test's own value
	}
	return string(text)
}

func TestRowsAreReadWhereverLinesBreak(t *testing.T) {
	for tool, format := range toolRows {
		if tool == "lsof" {
			continue // nobody pastes it in one line
		}
		rows := formatRows(format)
		tests := map[string]string{
			"all in one line":         strings.Join(rows, " "),
			"after a header":          "Proto Recv-Q Send-Q Local Address Foreign Address State " + strings.Join(rows, "  "),
			"carriage returns only":   strings.Join(rows, "\r"),
			"an empty line after all": strings.Join(rows, "\n\n"),
			"a line of a megabyte":    strings.Join(rows, strings.Repeat(" ", 20_000)),
		}
		if tool == "Windows netstat" {
			tests["nothing between the rows"] = strings.ReplaceAll(strings.Join(rows, ""), "  TCP", "TCP")
		}
		for name, text := range tests {
			t.Run(tool+"/"+name, func(t *testing.T) { checkPaste(t, text, Options{}) })
		}
		for _, width := range []int{40, 60, 72, 80} {
			t.Run(fmt.Sprintf("%s/broken at %d", tool, width), func(t *testing.T) { checkWrapped(t, rows, width) })
		}
	}
}

// checkWrapped checks rows that a terminal broke at a width. Their ports are known, and not
// necessarily their processes.
func checkWrapped(t *testing.T, rows []string, width int) {
	t.Helper()
	var text strings.Builder
	for _, row := range rows {
		for ; len(row) > width; row = row[width:] {
			text.WriteString(row[:width] + "\n")
		}
		text.WriteString(row + "\n")
	}
	d, err := Read(strings.NewReader(text.String()), Options{Range: ports.Range{First: 40000, Last: 40099}})
	if err != nil {
		t.Fatal(err)
	}
	if n := d.Sample.Networks[0]; n.InUse != pastedRows || d.Unread != 0 {
		t.Errorf("%d ports, %v in\n%.300s", n.InUse, d.Sample.Unobserved, text.String())
	}
}

func TestPowerShellAndTcpvconFormats(t *testing.T) {
	properties := []string{"LocalAddress", "LocalPort", "RemoteAddress", "RemotePort", "State", "AppliedSetting", "OwningProcess"}
	values := "10.0.0.4 PORT 10.0.0.9 3306 CloseWait Internet 4711"
	object := `{"Caption":null,"CimClass":{"CimClassProperties":"Caption, State, LocalPort"},"LocalAddress":"10.0.0.4",` +
		`"LocalPort":PORT,"RemoteAddress":"10.0.0.9","RemotePort":3306,"State":8,"OwningProcess":4711,"CimInstanceProperties":["Caption","State = 8"]}`
	var list strings.Builder
	for _, row := range formatRows(values) {
		for i, value := range strings.Fields(row) {
			fmt.Fprintf(&list, "%-15s: %s\n", properties[i], value)
		}
		list.WriteString("\n")
	}
	compact := "[" + strings.Join(formatRows(object), ",") + "]"
	tests := map[string]string{
		"a table":                            strings.Join(properties, " ") + "\n" + strings.Repeat("--- ", 7) + "\n" + joinRows(values),
		"a table without its header":         joinRows(values),
		"a table without a setting":          strings.Join(properties, " ") + "\n" + joinRows("10.0.0.4 PORT 10.0.0.9 3306 CloseWait            4711"),
		"a table of other columns":           "OwningProcess State LocalPort RemoteAddress RemotePort\n" + joinRows("4711 CloseWait PORT 10.0.0.9 3306"),
		"a table with a cut state":           strings.Join(properties[:5], " ") + " OwningProcess\n" + joinRows("10.0.0.4 PORT 10.0.0.9 3306 CloseW... 4711"),
		"a table with a time":                strings.Join(properties[:5], " ") + " CreationTime OwningProcess\n" + joinRows("10.0.0.4 PORT 10.0.0.9 3306 CloseWait 7/5/2025 10:57:02 PM 4711"),
		"a table by groups":                  "\n   State: CloseWait\n\n" + strings.Join(properties, " ") + "\n" + joinRows(values),
		"a list":                             list.String(),
		"a list without empty lines":         strings.ReplaceAll(list.String(), "\n\n", "\n"),
		"CSV":                                strings.Join(properties, ",") + "\n" + joinRows(strings.ReplaceAll(values, " ", ",")),
		"CSV with quotes":                    `"` + strings.Join(properties, `","`) + "\"\n" + joinRows(`"`+strings.ReplaceAll(values, " ", `","`)+`"`),
		"CSV with semicolons":                strings.Join(properties, ";") + "\n" + joinRows(strings.ReplaceAll(values, " ", ";")),
		"CSV with a quoted separator":        "x," + strings.Join(properties, ",") + "\n" + joinRows(`"a, b",`+strings.ReplaceAll(values, " ", ",")),
		"JSON":                               strings.ReplaceAll(compact, ",", ",\n"),
		"JSON in one line":                   compact,
		"Tcpvcon":                            joinRows("[TCP] C:\\Program Files\\java\n\tPID:     4711\n\tState:   CLOSE_WAIT\n\tLocal:   10.0.0.4:PORT\n\tRemote:  10.0.0.9:3306"),
		"TCPView 4, its tabs lost":           joinRows("java  4711  TCP  Close Wait  10.0.0.4  PORT  10.0.0.9  3306  7/5/2025 10:57:02 PM  java"),
		"TCPView 3, its tabs lost":           joinRows("java  4711  TCP  10.0.0.4  PORT  10.0.0.9  3306  CLOSE_WAIT"),
		"netstat with an address per line":   joinRows("  TCP    10.0.0.4:PORT\n         10.0.0.9:3306\n         CLOSE_WAIT      4711"),
		"Tcpvcon -c":                         joinRows(`TCP,java,4711,CLOSE_WAIT,10.0.0.4:PORT,10.0.0.9:3306`),
		"netstat with the offload state":     joinRows("  TCP    10.0.0.4:PORT         10.0.0.9:3306          CLOSE_WAIT      4711     InHost"),
		"netstat as a spreadsheet":           joinRows("TCP,10.0.0.4:PORT,10.0.0.9:3306,CLOSE_WAIT,4711"),
		"netstat in a table of Markdown":     joinRows("| TCP | 10.0.0.4:PORT | 10.0.0.9:3306 | CLOSE_WAIT | 4711 |"),
		"netstat with an unknown last words": joinRows("  TCP    10.0.0.4:PORT         10.0.0.9:3306          CLOSE_WAIT      4711 Not Applicable"),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) { checkPaste(t, text, Options{}) })
	}
}

func TestFormatsWithoutAProcess(t *testing.T) {
	tests := map[string]struct {
		text, state, want string
	}{
		"netsh":                              {"State  Local Address  Remote Address\n-------------\n" + joinRows("CLOSE_WAIT         10.0.0.4:PORT         10.0.0.9:3306"), "", "netsh"},
		"netsh, two words":                   {joinRows("Close Wait         10.0.0.4:PORT         10.0.0.9:3306"), "", "netsh"},
		"netstat -t, the state of offload":   {joinRows("  TCP    10.0.0.4:PORT         10.0.0.9:3306          CLOSE_WAIT      InHost"), "", "Windows netstat"},
		"columns of netstat":                 {joinRows("10.0.0.4:PORT 10.0.0.9:3306 CLOSE_WAIT"), "", "Linux netstat"},
		"columns of netstat in one line":     {strings.Join(formatRows("10.0.0.4:PORT 10.0.0.9:3306 CLOSE_WAIT"), " "), "", "Linux netstat"},
		"columns of ss":                      {joinRows("CLOSE-WAIT 10.0.0.4:PORT 10.0.0.9:3306"), "", "ss"},
		"columns of ss in one line":          {strings.Join(formatRows("CLOSE-WAIT 10.0.0.4:PORT 10.0.0.9:3306"), " "), "", "ss"},
		"ss with a state, by its command":    {"# ss -tn state close-wait\nRecv-Q Send-Q Local Address:Port Peer Address:Port\n" + joinRows("1 0 10.0.0.4:PORT 10.0.0.9:3306"), "", "ss"},
		"ss with a state, by the option":     {joinRows("1 0 10.0.0.4:PORT 10.0.0.9:3306"), "CLOSE_WAIT", "ss"},
		"the same, with times":               {joinRows("10:00:01 1 0 10.0.0.4:PORT 10.0.0.9:3306"), "close-wait", "ss"},
		"/proc/net/tcp, without its header":  {joinRows("PORT: 0400000A:PORT 0900000A:0CEA 08 00000000:00000001 00:00000000 00000000  1000        0 42 1 0 20 4 30 10 -1"), "", "/proc/net/tcp"},
		"PowerShell without a state":         {"LocalAddress LocalPort RemoteAddress RemotePort\n" + joinRows("10.0.0.4 PORT 10.0.0.9 3306"), "CloseWait", "Get-NetTCPConnection"},
		"PowerShell with a state, command":   {"PS C:\\> Get-NetTCPConnection -State CloseWait | ft LocalAddress,LocalPort\nLocalAddress LocalPort\n" + joinRows("10.0.0.4 PORT"), "", "Get-NetTCPConnection"},
		"PowerShell with a state, by option": {"LocalAddress LocalPort\n" + joinRows("10.0.0.4 PORT"), "CloseWait", "Get-NetTCPConnection"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := test.text
			if strings.Contains(name, "/proc") { // ports are hexadecimal there
				for i := range pastedRows {
					text = strings.ReplaceAll(text, fmt.Sprintf("0A:%d", 40000+i), fmt.Sprintf("0A:%04X", 40000+i))
				}
			}
			d, err := Read(strings.NewReader(text), Options{State: test.state, Range: ports.Range{First: 40000, Last: 40099}})
			if err != nil {
				t.Fatal(err)
			}
			n := d.Sample.Networks[0]
			if n.States[tcpstate.CloseWait] != pastedRows || d.Unread > 0 || !strings.HasPrefix(d.Sample.Reader.Message, test.want+", ") {
				t.Errorf("states %v, %d not understood, %s", n.States, d.Unread, d.Sample.Reader.Message)
			}
		})
	}
}

func TestUDPIsNeverTakenForTCP(t *testing.T) {
	unconnected := `UNCONN 0      0      10.0.0.4:PORT      0.0.0.0:*  users:(("java",pid=4711,fd=7))`
	connected := `ESTAB 0      0      10.0.0.4:PORT      10.0.0.53:53  users:(("java",pid=4711,fd=7))`
	tests := map[string]struct{ text, state string }{
		"ss -uan":                           {joinRows(unconnected), ""},
		"ss -uan, most connected":           {joinRows(connected) + "\nUNCONN 0 0 127.0.0.53%lo:53 0.0.0.0:*", ""},
		"ss -uan, all connected, command":   {"$ ss -uan\n" + joinRows(connected), ""},
		"ss -un, command":                   {"$ ss -unp\n" + joinRows(strings.TrimPrefix(connected, "ESTAB ")), ""},
		"ss -un, option":                    {joinRows(strings.TrimPrefix(connected, "ESTAB ")), "udp"},
		"ss -tuan":                          {joinRows("udp " + connected), ""},
		"ss -tan, then ss -uan":             {"State Recv-Q Send-Q Local Address:Port\nLISTEN 0 128 *:22 *:*\nState Recv-Q Send-Q Local Address:Port\n" + joinRows(unconnected), ""},
		"netstat -anu":                      {joinRows("udp        0      0 10.0.0.4:PORT          10.0.0.53:53           ESTABLISHED 4711/java"), ""},
		"Windows netstat":                   {joinRows("  UDP    0.0.0.0:PORT         *:*                                    4711"), ""},
		"lsof":                              {joinRows("java 4711 root 7u IPv4 42000 0t0 UDP 10.0.0.4:PORT->10.0.0.53:53"), ""},
		"Get-NetUDPEndpoint":                {"LocalAddress LocalPort OwningProcess\n" + joinRows("::  PORT 4711"), ""},
		"Get-NetUDPEndpoint as a list":      {joinRows("LocalAddress  : ::\nLocalPort     : PORT\nOwningProcess : 4711\n"), ""},
		"/proc/net/udp, without its header": {joinRows(" PORT: 0400000A:PORT 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12345 2 0 0"), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := test.text
			if strings.Contains(name, "/proc") {
				for i := range pastedRows {
					text = strings.ReplaceAll(text, fmt.Sprintf("0A:%d", 40000+i), fmt.Sprintf("0A:%04X", 40000+i))
				}
			}
			d, err := Read(strings.NewReader(text), Options{State: test.state, Range: ports.Range{First: 40000, Last: 40099}})
			if err != nil {
				t.Fatal(err)
			}
			n := &d.Sample.Networks[0]
			p, _ := d.Sample.TightestPool()
			if n.UDPInUse != pastedRows || n.States[tcpstate.Established]+n.States[tcpstate.Bound] > 0 || p.Protocol != socket.UDP || d.Unread > 0 {
				t.Errorf("%d UDP ports, TCP %v, %d not understood", n.UDPInUse, n.States, d.Unread)
			}
			if l := d.Sample.PoolDetail; !strings.Contains(name, "/proc") && (!l.Describes(p) || l.Holders[0].Sockets != pastedRows || l.Holders[0].PID != 4711) {
				t.Errorf("the holder is %+v", l)
			}
		})
	}
}

func TestARangeInTheDumpIsUsed(t *testing.T) {
	netsh := "Dynamischer Portbereich f\x81r Protokoll tcp\r\n---------------------------------\r\nStartport        : 40000\r\nAnzahl von Ports : 255\r\n"
	linux, windows := joinRows(toolRows["netstat"]), joinRows(toolRows["Windows netstat"])
	tests := map[string]struct{ fact, rows, want string }{
		"sysctl":                       {"net.ipv4.ip_local_port_range = 40000\t40099", linux, "40000-40099"},
		"cat":                          {"$ cat /proc/sys/net/ipv4/ip_local_port_range\n40000\t40099", linux, "40000-40099"},
		"grep":                         {"/proc/sys/net/ipv4/ip_local_port_range:40000\t40099", linux, "40000-40099"},
		"echo":                         {`echo "40000 40099" > /proc/sys/net/ipv4/ip_local_port_range`, linux, "40000-40099"},
		"netsh in German":              {netsh, windows, "40000-40254"},
		"netsh, quoted":                {"> " + strings.ReplaceAll(netsh, "\n", "\n> "), windows, "40000-40254"},
		"netsh of UDP":                 {strings.ReplaceAll(netsh, "tcp", "udp"), windows, "49152-65535"},
		"Get-NetTCPSetting":            {"DynamicPortRangeStartPort     : 40000\nDynamicPortRangeNumberOfPorts : 255", windows, "40000-40254"},
		"Get-NetTCPSetting as a table": {"SettingName DynamicPortRangeStartPort DynamicPortRangeNumberOfPorts\n----------- ---- ----\nInternet 40000 255", windows, "40000-40254"},
		"JSON":                         {`"net.ipv4.ip_local_port_range": "40000 40099",`, linux, "40000-40099"},
		"reg query":                    {"    MaxUserPort    REG_DWORD    0xfffe", windows, "1024-65534"},
		"a .reg file":                  {`"MaxUserPort"=dword:00001388`, windows, "49152-54151"},
		"netsh and reg":                {`"MaxUserPort"=dword:0000fffe` + "\n" + netsh, windows, "40000-40254"},
	}
	for name, test := range tests {
		for order, text := range map[string]string{"before": test.fact + "\n" + test.rows, "after": test.rows + "\n" + test.fact + "\n"} {
			t.Run(name+"/"+order, func(t *testing.T) {
				d, err := Read(strings.NewReader(text), Options{})
				if err != nil {
					t.Fatal(err)
				}
				if got := d.Sample.Networks[0].Settings.Range.String(); got != test.want || d.Unread > 0 {
					t.Errorf("the range is %s, want %s; %d not understood", got, test.want, d.Unread)
				}
			})
		}
	}
}

func TestReuseOfTimeWaitFollowsTheSettingsInTheDump(t *testing.T) {
	for fact, want := range map[string]uint32{"": 2, "net.ipv4.tcp_tw_reuse = 2": 2, "net.ipv4.tcp_tw_reuse = 0": 0, "net.ipv4.tcp_timestamps = 0": 0} {
		text := "TIME-WAIT 0 0 127.0.0.1:50002 127.0.0.1:8080\nTIME-WAIT 0 0 127.0.0.1:50004 127.0.0.1:8080\n" + fact + "\n"
		if d := readDump(t, text); d.Sample.Networks[0].Destinations[0].Reusable != want {
			t.Errorf("%q: %+v", fact, d.Sample.Networks[0].Destinations)
		}
	}
}

func TestARangeThatMustBeAnotherIsReported(t *testing.T) {
	clients := func(first, count, step int) string {
		var b strings.Builder
		for i := range count {
			fmt.Fprintf(&b, "tcp 0 0 10.0.0.4:%d 10.0.0.9:8001 ESTABLISHED\n", first+i*step)
		}
		return b.String()
	}
	var servers strings.Builder
	for i := range 700 {
		fmt.Fprintf(&servers, "tcp 0 0 10.0.0.4:%d 10.0.1.%d:%d ESTABLISHED\n", 7001+i%7, i%200, 40000+i)
	}
	tests := map[string]struct {
		text    string
		options Options
		want    bool
	}{
		"all clients are outside":                {clients(10000, 400, 7), Options{}, true},
		"a fifth is outside":                     {clients(10000, 100, 7) + clients(40000, 400, 3), Options{}, true},
		"a tenth is outside":                     {clients(10000, 40, 7) + clients(40000, 400, 3), Options{}, false},
		"15 are outside":                         {clients(10000, 15, 7), Options{}, false},
		"with listeners":                         {"tcp 0 0 0.0.0.0:22 0.0.0.0:* LISTEN\n" + clients(10000, 400, 7), Options{}, true},
		"the range is given":                     {clients(10000, 400, 7), Options{Range: ports.Range{First: 32768, Last: 60999}}, false},
		"the range is in the dump":               {"net.ipv4.ip_local_port_range = 32768 60999\n" + clients(10000, 400, 7), Options{}, false},
		"the ports are those of services":        {servers.String(), Options{}, false},
		"UDP sockets of Windows":                 {strings.ReplaceAll(clients(11000, 100, 5), "tcp 0 0", "UDP"), Options{}, true},
		"UDP beside clients that confirm it":     {strings.ReplaceAll(clients(11000, 100, 5), "tcp", "udp") + clients(40000, 400, 3), Options{}, false},
		"on Windows, UDP has a range of its own": {strings.ReplaceAll(clients(11000, 100, 5), "tcp 0 0", "UDP") + strings.ReplaceAll(clients(50000, 400, 3), "tcp 0 0", "TCP"), Options{}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := Read(strings.NewReader(test.text), test.options)
			if err != nil {
				t.Fatal(err)
			}
			if got := d.RangeMismatch != ""; got != test.want || got && !strings.Contains(d.RangeMismatch, "--range") {
				t.Errorf("got %q", d.RangeMismatch)
			}
		})
	}
}

func TestStatesWithoutAPeerAreInferred(t *testing.T) {
	tests := map[string]struct {
		text string
		want tcpstate.Counts
		said string
	}{
		"beside a known listener it is BOUND": {
			"TCP 0.0.0.0:135 0.0.0.0:0 ABHÖREN 9\nTCP 0.0.0.0:50001 0.0.0.0:0 GEBUNDEN 7",
			tcpstate.Counts{tcpstate.Listen: 1, tcpstate.Bound: 1}, `"GEBUNDEN" on 1 lines, assumed to be BOUND`,
		},
		"the listener may come last": {
			"TCP 0.0.0.0:50001 0.0.0.0:0 GEBUNDEN 7\nTCP 0.0.0.0:135 0.0.0.0:0 LISTENING 9",
			tcpstate.Counts{tcpstate.Listen: 1, tcpstate.Bound: 1}, `"GEBUNDEN" on 1 lines, assumed to be BOUND`,
		},
		"outside the range it is LISTEN": {
			"TCP 0.0.0.0:135 0.0.0.0:0 KUUNTELEE 9\nTCP 0.0.0.0:50001 0.0.0.0:0 SIDOTTU 7",
			tcpstate.Counts{tcpstate.Listen: 1, tcpstate.Bound: 1}, `"KUUNTELEE" on 1 lines, assumed to be LISTEN; "SIDOTTU" on 1 lines, assumed to be BOUND`,
		},
		"inside the range it is BOUND": {
			"TCP 0.0.0.0:50001 0.0.0.0:0 SIDOTTU 7\nTCP 0.0.0.0:50002 0.0.0.0:0 SIDOTTU 7",
			tcpstate.Counts{tcpstate.Bound: 2}, `"SIDOTTU" on 2 lines, assumed to be BOUND`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := readDump(t, test.text)
			if got := d.Sample.Networks[0].States; got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if !strings.Contains(fmt.Sprint(d.Sample.Unobserved), test.said) {
				t.Errorf("no %q in %v", test.said, d.Sample.Unobserved)
			}
		})
	}
}

func TestOutputsWithoutSocketsAreNamed(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"ss -s":          {"Total: 912\nTCP:   28900 (estab 120, closed 28000, orphaned 0, timewait 28000)\n\nTransport Total     IP        IPv6\nTCP\t  900       900       0", "the summary of ss -s with closed 28000, timewait 28000, estab 120"},
		"sockstat":       {"sockets: used 345\nTCP: inuse 27 orphan 0 tw 28000 alloc 30 mem 3", "/proc/net/sockstat with tw 28000"},
		"states":         {"  28000 TIME_WAIT\n    120 ESTABLISHED\n      1 Foreign", "counts by state with TIME_WAIT 28000, ESTABLISHED 120"},
		"states by awk":  {"TIME-WAIT 28000\nESTAB 120", "counts by state with TIME-WAIT 28000, ESTAB 120"},
		"Group-Object":   {"\nCount Name\n----- ----\n  230 Bound, 25740\n    6 Established, 5120", "counts by group (Group-Object) with Bound, 25740 230"},
		"peers":          {"    230 10.0.0.9:443\n    6 10.0.0.8:80", "counts by address (uniq -c) with 10.0.0.9:443 230"},
		"netstat -s":     {"Ip:\n    123 total packets received\nTcp:\n    12345 active connection openings\n    99 failed connection attempts", "statistics since boot (netstat -s, nstat) with active connection openings 12345"},
		"netstat.exe -s": {"TCP Statistics for IPv4\n\n  Active Opens                        = 12345", "statistics since boot (netstat -s, nstat) with Active Opens 12345"},
		"conntrack -L":   {strings.Repeat("tcp      6 86 TIME_WAIT src=10.0.0.4 dst=10.0.0.9 sport=40000 dport=443 src=10.0.0.9 dst=10.0.0.4 sport=443 dport=40000 [ASSURED] use=1\n", 3), "a listing of connection tracking (conntrack -L) with TIME_WAIT 3"},
		"the range only": {"net.ipv4.ip_local_port_range = 32768 60999", "the file has only the range of ports"},
		"exclusions":     {"Protocol tcp Port Exclusion Ranges\n\nStart Port    End Port\n----------    --------\n      5985        5985", "a list of excluded ports (netsh)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Read(strings.NewReader(test.text), Options{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestOtherProtocolsAndRowsWithoutAShapeAreCounted(t *testing.T) {
	for name, row := range map[string]string{
		"SCTP":                   "sctp ESTAB 0 0 10.0.0.4:40000 10.0.0.9:5432",
		"SCTP, a listener":       "sctp LISTEN 0 5 *:5000 *:*",
		"a protocol to come":     "QUIC 10.0.0.4:40000 10.0.0.9:5432 OPEN 7",
		"addresses that are cut": "LocalAddress LocalPort RemoteAddress RemotePort State\n2001:db8:... 50000 2001:db8:... 443 Established",
		"names on both sides":    "  TCP    mypc:epmap     otherpc:https    ESTABLISHED",
	} {
		t.Run(name, func(t *testing.T) {
			if d := readDump(t, "tcp ESTAB 0 0 10.0.0.4:40000 10.0.0.9:5432\n"+row); d.Rows != 1 || d.Unread != 1 {
				t.Errorf("%d rows, %d not understood", d.Rows, d.Unread)
			}
		})
	}
}

func TestRowsOfSeveralHostsAreReported(t *testing.T) {
	for prefix, want := range map[string]string{"10.22.1.%d   ": "10.22.1.1, 10.22.1.2", "node%d.txt:": "node1.txt, node2.txt", "[pod/web-%d/app] ": "[pod/web-1/app], [pod/web-2/app]"} {
		text := fmt.Sprintf(prefix+"tcp 0 0 10.0.0.4:40000 10.0.0.9:5432 ESTABLISHED\n"+prefix+"tcp 0 0 10.0.0.5:40000 10.0.0.9:5432 ESTABLISHED\n", 1, 2)
		if d := readDump(t, text); !strings.Contains(fmt.Sprint(d.Sample.Unobserved), "the rows of 2 hosts or files ("+want+")") {
			t.Errorf("%q: %v", prefix, d.Sample.Unobserved)
		}
	}
}

func TestTheOwnerOfTheNetworkIsNotAssumed(t *testing.T) {
	for network, want := range map[string]socket.OwnerKind{"": socket.OwnerUnknown, "host": socket.OwnerHost, "pod": socket.OwnerPod} {
		d, err := Read(strings.NewReader("ESTAB 0 0 10.0.0.4:40000 10.0.0.9:5432"), Options{Network: network})
		if err != nil || d.Sample.Networks[0].Owner.Kind != want {
			t.Errorf("%q: %v, %v", network, d.Sample.Networks[0].Owner, err)
		}
	}
}

func TestEvidenceOfOtherLimits(t *testing.T) {
	text := `LISTEN 129 128 *:8080 *:* users:(("java",pid=7,fd=52))` + "\nLISTEN 0 128 *:22 *:*\nESTAB 0 0 10.0.0.4:700 10.0.0.9:2049\n"
	for i := range 120 {
		text += fmt.Sprintf("CLOSE-WAIT 144 0 10.0.0.4:8080 10.9.1.%d:57893 users:((\"java\",pid=7,fd=9))\n", i)
	}
	e := readDump(t, text+text).Sample.Networks[0].Evidence
	java := socket.Process{Name: "java", PID: 7}
	if q := e.AcceptQueues; len(q) == 0 || q[0].Length != 129 || q[0].Limit != 128 || q[0].Listener.String() != "0.0.0.0:8080" || q[0].Process != java {
		t.Errorf("%+v", q)
	}
	if g := e.CloseWait; len(g) != 1 || g[0].Sockets != 120 || g[0].Listener != 8080 || g[0].Peers != 120 || g[0].Process != java {
		t.Errorf("%+v", g)
	}
	if e.Privileged == nil || *e.Privileged != 1 {
		t.Errorf("%v privileged ports", e.Privileged)
	}
}
