package dump

import (
	"fmt"
	"strings"
	"testing"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// formatRow formats a row in one line: format, protocol, ends, state, process, PID, and the
// remaining time of TIME_WAIT.
func formatRow(r socketRow) string {
	s := fmt.Sprintf("%s %v %s %s", r.format, r.protocol, formatEnd(r.local), formatEnd(r.remote))
	if r.protocol == socket.TCP {
		s += fmt.Sprintf(" state=%d", r.state)
	}
	if r.unknownState != nil {
		s += fmt.Sprintf(" word=%s", r.unknownState)
	}
	if len(r.process) > 0 {
		s += fmt.Sprintf(" process=%s", r.process)
	}
	if r.pid >= 0 {
		s += fmt.Sprintf(" pid=%d", r.pid)
	}
	if r.lacksProtocol && (r.state == tcpstate.Established || r.state == tcpstate.Bound || r.state == 0) {
		s += " protocol?"
	}
	if r.truncated {
		s += " cut"
	}
	return s
}

func formatEnd(e endpoint) string {
	if !e.addr.IsValid() {
		return fmt.Sprintf("*:%d", e.port)
	}
	return fmt.Sprintf("%v:%d", e.addr, e.port)
}

func TestRowsOfEveryTool(t *testing.T) {
	tests := map[string]struct{ line, want string }{
		"netstat -an":                             {"  TCP    0.0.0.0:135            0.0.0.0:0              LISTENING", "Windows netstat TCP *:135 *:0 state=10"},
		"netstat -ano":                            {"  TCP    10.0.0.5:49167         10.0.0.9:1433          TIME_WAIT       0", "Windows netstat TCP 10.0.0.5:49167 10.0.0.9:1433 state=6 pid=0"},
		"netstat -anot has one more column":       {"  TCP    10.0.0.5:49167         10.0.0.9:1433          ESTABLISHED     4711     InHost", "Windows netstat TCP 10.0.0.5:49167 10.0.0.9:1433 state=1 pid=4711"},
		"netstat -anq":                            {"  TCP    0.0.0.0:50100          0.0.0.0:0              BOUND           44328", "Windows netstat TCP *:50100 *:0 state=13 pid=44328"},
		"Windows UDP":                             {"  UDP    [::]:5353              *:*                                    1036", "Windows netstat UDP *:5353 *:0 pid=1036"},
		"IPv6 with a zone shifts the columns":     {"  TCP    [fe80::c08d:4c5d:8f3e:8e4e%11]:49158  [fe80::1c2d:3e4f:5a6b:7c8d%11]:445  FIN_WAIT_2      4", "Windows netstat TCP fe80::c08d:4c5d:8f3e:8e4e%11:49158 fe80::1c2d:3e4f:5a6b:7c8d%11:445 state=5 pid=4"},
		"German in UTF-8":                         {"  TCP    127.0.0.1:49181        0.0.0.0:0              ABHÖREN", "Windows netstat TCP 127.0.0.1:49181 *:0 state=10"},
		"German in CP850":                         {"  TCP    127.0.0.1:49181        0.0.0.0:0              ABH\x99REN", "Windows netstat TCP 127.0.0.1:49181 *:0 state=10"},
		"German in CP850, read as CP1252":         {"  TCP    127.0.0.1:49181        0.0.0.0:0              ABH™REN", "Windows netstat TCP 127.0.0.1:49181 *:0 state=10"},
		"German FIN_WAIT_2":                       {"  TCP    127.0.0.1:49273        127.0.0.1:49186        FIN_WARTEN_2", "Windows netstat TCP 127.0.0.1:49273 127.0.0.1:49186 state=5"},
		"Italian prints two words":                {"  TCP    127.0.0.1:3000         0.0.0.0:0              IN ASCOLTO       31", "Windows netstat TCP 127.0.0.1:3000 *:0 state=10 pid=31"},
		"an unknown word without a peer":          {"  TCP    0.0.0.0:135            0.0.0.0:0              侦听           888", "Windows netstat TCP *:135 *:0 state=0 word=侦听 pid=888"},
		"an unknown word of process 0 is waiting": {"  TCP    10.0.0.5:49167         10.0.0.9:1433          ODOTTAA         0", "Windows netstat TCP 10.0.0.5:49167 10.0.0.9:1433 state=6 word=ODOTTAA pid=0"},
		"another unknown word is open":            {"  TCP    10.0.0.5:49167         10.0.0.9:1433          已建立         888", "Windows netstat TCP 10.0.0.5:49167 10.0.0.9:1433 state=1 word=已建立 pid=888"},
		"tabs between the columns":                {"TCP\t10.0.0.5:49167\t10.0.0.9:1433\tTIME_WAIT\t0", "Windows netstat TCP 10.0.0.5:49167 10.0.0.9:1433 state=6 pid=0"},
		"a state that was cut off":                {"  TCP    10.0.0.5:49167         10.0.0.9:1433          ESTABLI", "Windows netstat TCP 10.0.0.5:49167 10.0.0.9:1433 state=1"},
		"TCPView 2":                               {"alg.exe:1252\tTCP\t127.0.0.1:1027\t0.0.0.0:0\tLISTENING", "TCPView TCP 127.0.0.1:1027 *:0 state=10 process=alg.exe pid=1252"},
		"TCPView 3":                               {"chrome.exe\t5120\tTCP\t10.0.0.5\t49800\t10.0.0.9\t443\tESTABLISHED\t12\t4,011\t14\t9,012", "TCPView TCP 10.0.0.5:49800 10.0.0.9:443 state=1 process=chrome.exe pid=5120"},
		"TCPView 3, UDP":                          {"svchost.exe\t888\tUDPV6\t[::]\t5353\t*\t*\t\t\t\t\t", "TCPView UDP *:5353 *:0 process=svchost.exe pid=888"},
		"TCPView 4":                               {"chrome.exe\t5120\tTCPv6\tEstablished\t2001:db8::5\t49800\t2001:db8::9\t443\t1/2/2024 3:04:05 PM\tchrome.exe", "TCPView TCP 2001:db8::5:49800 2001:db8::9:443 state=1 process=chrome.exe pid=5120"},
		"TCPView 4, CSV":                          {`"[Time Wait]","0","TCP","Time Wait","10.0.0.5","49801","10.0.0.9","443","1/2/2024 3:04:05 PM",""`, "TCPView TCP 10.0.0.5:49801 10.0.0.9:443 state=6 process=[Time Wait] pid=0"},
		"TCPView 4, CSV, UDP":                     {`"svchost.exe","888","UDP","","0.0.0.0","500","*","","1/2/2024 3:04:05 PM","IKEEXT"`, "TCPView UDP *:500 *:0 process=svchost.exe pid=888"},
		"TCPView 4, CSV, a listener":              {`"svchost.exe","888","TCP","Listen","0.0.0.0","135","0.0.0.0","0","1/2/2024 3:04:05 PM","RpcSs"`, "TCPView TCP *:135 *:0 state=10 process=svchost.exe pid=888"},
		"Get-NetTCPConnection":                    {"127.0.0.1                           1042       127.0.0.1                           50523      Established Internet       7036", "Get-NetTCPConnection TCP 127.0.0.1:1042 127.0.0.1:50523 state=1 pid=7036"},
		"Get-NetTCPConnection without a setting":  {"::                                  49664      ::                                  0          Listen                     968", "Get-NetTCPConnection TCP *:49664 *:0 state=10 pid=968"},
		"ss -tan":                                 {"TIME-WAIT 0      0          10.0.0.4:40000      10.0.0.9:5432 ", "ss TCP 10.0.0.4:40000 10.0.0.9:5432 state=6"},
		"ss -tanp":                                {`ESTAB      0      0      10.0.0.4:40000              10.0.0.9:5432               users:(("java",pid=7,fd=12),("java",pid=8,fd=12))`, "ss TCP 10.0.0.4:40000 10.0.0.9:5432 state=1 process=java pid=7 protocol?"},
		"ss -tanp and a name with blanks":         {`ESTAB 0 0 10.0.0.4:40000 10.0.0.9:5432 users:(("Web Content",pid=7,fd=12))`, "ss TCP 10.0.0.4:40000 10.0.0.9:5432 state=1 process=Web Content pid=7 protocol?"},
		"ss -tano":                                {"TIME-WAIT 0 0 10.0.0.4:40000 10.0.0.9:5432 timer:(timewait,43sec,0)", "ss TCP 10.0.0.4:40000 10.0.0.9:5432 state=6"},
		"ss -tano, the last seconds":              {"TIME-WAIT 0 0 10.0.0.4:40000 10.0.0.9:5432 timer:(timewait,5.350ms,0)", "ss TCP 10.0.0.4:40000 10.0.0.9:5432 state=6"},
		"ss -tuan, TCP":                           {"tcp   LISTEN 0      4096         *:22              *:*    ", "ss TCP *:22 *:0 state=10"},
		"ss -tuan, UDP":                           {"udp   UNCONN 0      0      127.0.0.53%lo:53        0.0.0.0:*    ", "ss UDP 127.0.0.53:53 *:0"},
		"ss -uan":                                 {"UNCONN 0      0      127.0.0.53%lo:53        0.0.0.0:*    ", "ss TCP 127.0.0.53:53 *:0 state=13 protocol?"},
		"ss and a zone behind the bracket":        {"ESTAB 0 0 [fe80::1]%eth0:40000 [fe80::2]%eth0:5432", "ss TCP fe80::1%eth0:40000 fe80::2%eth0:5432 state=1 protocol?"},
		"IPv4 in IPv6 is IPv4":                    {"ESTAB 0 0 [::ffff:10.0.0.4]:40000 [::ffff:10.0.0.9]:5432", "ss TCP 10.0.0.4:40000 10.0.0.9:5432 state=1 protocol?"},
		"ss and a bound socket":                   {"tcp UNCONN 0 0 10.0.0.4:40000 0.0.0.0:*", "ss TCP 10.0.0.4:40000 *:0 state=13"},
		"netstat -ant":                            {"tcp        0      0 10.0.0.4:40000          10.0.0.9:5432           TIME_WAIT  ", "Linux netstat TCP 10.0.0.4:40000 10.0.0.9:5432 state=6"},
		"netstat -antp":                           {"tcp        0      0 10.0.0.4:40000          10.0.0.9:5432           ESTABLISHED 1234/java", "Linux netstat TCP 10.0.0.4:40000 10.0.0.9:5432 state=1 process=java pid=1234"},
		"netstat -antp without permission":        {"tcp6       0      0 :::22                   :::*                    LISTEN      -  ", "Linux netstat TCP *:22 *:0 state=10"},
		"netstat -antp and a title":               {"tcp        0      0 10.0.0.4:22             10.0.0.9:50432          ESTABLISHED 99/sshd: root@pts/0", "Linux netstat TCP 10.0.0.4:22 10.0.0.9:50432 state=1 process=sshd pid=99"},
		"netstat -anto":                           {"tcp        0      0 10.0.0.4:40000          10.0.0.9:5432           TIME_WAIT   timewait (43.21/0/0)", "Linux netstat TCP 10.0.0.4:40000 10.0.0.9:5432 state=6"},
		"netstat -anto, another timer":            {"tcp        0      0 10.0.0.4:40000          10.0.0.9:5432           ESTABLISHED keepalive (7183.58/0/0)", "Linux netstat TCP 10.0.0.4:40000 10.0.0.9:5432 state=1"},
		"netstat -ante":                           {"tcp        0      0 10.0.0.4:40000          10.0.0.9:5432           ESTABLISHED 1000       123456", "Linux netstat TCP 10.0.0.4:40000 10.0.0.9:5432 state=1"},
		"netstat in Czech prints two words":       {"tcp        0      0 10.0.0.4:40000          10.0.0.9:5432           POSLEDNÍ ACK", "Linux netstat TCP 10.0.0.4:40000 10.0.0.9:5432 state=9"},
		"netstat truncates long addresses":        {"tcp6       0      0 2001:db8:85a3:8d3:40000 2001:db8:85a3:8d3::5432 ESTABLISHED", "Linux netstat TCP 2001:db8:85a3:8d3:::40000 2001:db8:85a3:8d3:::5432 state=1 cut"},
		"/proc/net/tcp":                           {"   3: 0400000A:9C40 0900000A:1538 06 00000000:00000000 03:00000B3A 00000000     0        0 0 3 00000000d9c4e1f5", "/proc/net/tcp TCP 10.0.0.4:40000 10.0.0.9:5432 state=6"},
		"/proc/net/tcp6":                          {"   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1679 1", "/proc/net/tcp TCP ::1:8080 *:0 state=10"},
		"/proc/net/tcp6 and IPv4 in IPv6 is IPv4": {"   1: 0000000000000000FFFF00000400000A:9C40 0000000000000000FFFF00000900000A:1538 01 00000000:00000000 02:00000B3A 00000000", "/proc/net/tcp TCP 10.0.0.4:40000 10.0.0.9:5432 state=1"},
		"/proc/net/tcp and a request (SYN_RECV)":  {"   1: 0400000A:0050 0900000A:1538 0C 00000000:00000000 01:0000000A 00000000", "/proc/net/tcp TCP 10.0.0.4:80 10.0.0.9:5432 state=3"},
		"/proc/net/tcp and a bound socket":        {"   1: 0400000A:9C40 00000000:0000 07 00000000:00000000 00:00000000 00000000", "/proc/net/tcp TCP 10.0.0.4:40000 *:0 state=13"},
		"an IPv4-mapped wildcard is a wildcard":   {"tcp6 0 0 ::ffff:0.0.0.0:22 :::* LISTEN", "Linux netstat TCP *:22 *:0 state=10"},
		"busybox netstat prints IPv4 in IPv6":     {"tcp        0      0 ::ffff:10.0.0.4:40000   ::ffff:10.0.0.9:5432    ESTABLISHED", "Linux netstat TCP 10.0.0.4:40000 10.0.0.9:5432 state=1"},
		"ss and a half-closed connection":         {"CLOSE-WAIT 1 0 10.0.0.4:40000 10.0.0.9:5432", "ss TCP 10.0.0.4:40000 10.0.0.9:5432 state=8"},
		"MPTCP is TCP":                            {"mptcp ESTAB 0 0 10.0.0.4:40000 10.0.0.9:5432", "ss TCP 10.0.0.4:40000 10.0.0.9:5432 state=1"},
		"Windows' SYN_RECEIVED":                   {"  TCP    10.0.0.5:443           10.0.0.9:50000         SYN_RECEIVED", "Windows netstat TCP 10.0.0.5:443 10.0.0.9:50000 state=3"},
		"Windows' LAST_ACK with a PID":            {"  TCP    10.0.0.5:443           10.0.0.9:50000         LAST_ACK        12", "Windows netstat TCP 10.0.0.5:443 10.0.0.9:50000 state=9 pid=12"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var d lineDecoder
			var r socketRow
			k, err := d.decodeLine([]byte(test.line), &r)
			if err != nil || k != rowLine {
				t.Fatalf("kind %d, %v", k, err)
			}
			if got := formatRow(r); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestOtherLinesAreIgnored(t *testing.T) {
	for _, line := range []string{
		"", "   ", "Active Connections", "活动连接", "  Proto  Local Address          Foreign Address        State           PID",
		"  协议  本地地址                外部地址              状态             PID",
		`C:\Users\me>netstat -ano`, "[root@web-1 ~]# ss -tan", "root@web:~# cat /proc/net/tcp", "$ date", "Wed Nov 21 10:31:07 UTC 2026",
		"State      Recv-Q Send-Q Local Address:Port   Peer Address:Port Process",
		"Netid State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess",
		"Active Internet connections (servers and established)",
		"Proto Recv-Q Send-Q Local Address           Foreign Address         State       PID/Program name",
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
		"  RpcSs", " Can not obtain ownership information", `  C:\WINDOWS\system32\WS2_32.dll`, "  -- unknown component(s) --",
		"\t cubic wscale:7,7 rto:204 rtt:0.1/0.05 mss:1448", " skmem:(r0,rb131072,t0,tb87040,f0,w0,o0,bl0,d0)",
		"Process\tPID\tProtocol\tLocal Address\tLocal Port\tRemote Address\tRemote Port\tState",
		`"Process Name","Process ID","Protocol","State","Local Address","Local Port","Remote Address","Remote Port","Create Time","Module Name"`,
		"LocalAddress                        LocalPort RemoteAddress                       RemotePort State       AppliedSetting OwningProcess",
		"TCP Statistics for IPv4", "TCP       900       900       0", "unix  2      [ ACC ]     STREAM     LISTENING     23456    /run/systemd/private",
		"u_str LISTEN 0      4096   /run/dbus/system_bus_socket 18213            * 0",
		"raw   UNCONN 0      0                  *:icmp          *:*",
	} {
		var d lineDecoder
		var r socketRow
		if k, err := d.decodeLine([]byte(line), &r); k == rowLine || err != nil {
			t.Errorf("%q: kind %d, %v: %s", line, k, err, formatRow(r))
		}
	}
}

func TestUnparsedLinesHaveAReason(t *testing.T) {
	tests := map[string]struct{ line, want string }{
		"A host name":                    {"  TCP    10.0.0.5:49167         db.example.com:1433    ESTABLISHED     4711", "take the dump with -n"},
		"A service name":                 {"  TCP    10.0.0.5:49167         10.0.0.9:https         ESTABLISHED     4711", "take the dump with -n"},
		"TCPView with names":             {"chrome.exe\t5120\tTCP\tmypc.local\t49800\texample.com\thttps\tESTABLISHED", "take the dump with -n"},
		"Cut at its end":                 {"  TCP    10.0.0.5:49167         10.0.0", "no address and port in their columns"},
		"Cut after the addresses":        {"  TCP    10.0.0.5:49167         10.0.0.9:1433", "columns are missing"},
		"Cut at its start":               {"0.0.5:49167         10.0.0.9:1433          ESTABLISHED     4711", "no address and port"},
		"A port above 65535":             {"  TCP    10.0.0.5:99999         10.0.0.9:1433          ESTABLISHED     4711", "port above 65535"},
		"netstat of macOS":               {"tcp4       0      0  10.0.0.4.52345         10.0.0.9.443           ESTABLISHED", "BSD and macOS"},
		"ss cut off":                     {"ESTAB      0      0      10.0.0.4:40000", "columns are missing"},
		"/proc cut off":                  {"   3: 0400000A:9C40 0900000A:15", "columns are missing"},
		"/proc and an unknown state":     {"   3: 0400000A:9C40 0900000A:1538 FF 00000000:00000000", "columns are missing"},
		"An address with too many parts": {"  TCP    10.0.0.5.6:49167       10.0.0.9:1433          ESTABLISHED     4711", "no address and port in their columns"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var d lineDecoder
			var r socketRow
			_, err := d.decodeLine([]byte(test.line), &r)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q; %s", err, test.want, formatRow(r))
			}
		})
	}
}

func TestStateNamesAreNormalized(t *testing.T) {
	for word := range stateNames {
		if got := string(normalizeState(nil, []byte(word))); got != word {
			t.Errorf("%q is never found because it is normalized to %q", word, got)
		}
	}
}
