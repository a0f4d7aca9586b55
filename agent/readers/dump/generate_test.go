package dump

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// tableGenerator generates a dump in the formats of Windows' tools, including blanks at the
// ends of lines. The rows are multiplied from public threads, in a random order from a seed.
type tableGenerator struct {
	strings.Builder
	random *rand.Rand
	// words maps states to the language of the edition. The default is English.
	words map[string]string
	// pids and programs enable the columns of netstat -o and -b.
	pids, programs bool
	lines          []string
	tool           func(t *tableGenerator, s generatedSocket) string
}

// generatedSocket is a socket to print.
type generatedSocket struct {
	protocol, local, remote, state string
	pid                            int
	program                        string
}

func newTableGenerator(seed uint64, tool func(*tableGenerator, generatedSocket) string) *tableGenerator {
	return &tableGenerator{random: rand.New(rand.NewPCG(seed, 4)), tool: tool}
}

func (t *tableGenerator) addSocket(s generatedSocket) {
	if word, ok := t.words[s.state]; ok {
		s.state = word
	}
	t.lines = append(t.lines, t.tool(t, s))
}

// addClients adds n sockets with random ports of the range [first, last].
func (t *tableGenerator) addClients(n int, source string, first, last int, destination func(i int) string, state string, pid int, program string) {
	if state == "TIME_WAIT" {
		pid, program = 0, ""
	}
	for i, port := range t.random.Perm(last - first + 1)[:n] {
		t.addSocket(generatedSocket{"TCP", fmt.Sprintf("%s:%d", source, first+port), destination(i), state, pid, program})
	}
}

func (t *tableGenerator) addListeners(ports ...int) {
	for _, port := range ports {
		t.addSocket(generatedSocket{"TCP", fmt.Sprintf("0.0.0.0:%d", port), "0.0.0.0:0", "LISTENING", 4, "svchost.exe"})
	}
}

// formatText returns the header and the lines in a random order, with CRLF line ends.
func (t *tableGenerator) formatText(header ...string) string {
	t.random.Shuffle(len(t.lines), func(i, j int) { t.lines[i], t.lines[j] = t.lines[j], t.lines[i] })
	return strings.Join(append(header, t.lines...), "\r\n") + "\r\n"
}

// formatNetstat formats a row of netstat.exe (the same from Windows 2000 to 11).
func formatNetstat(t *tableGenerator, s generatedSocket) string {
	line := fmt.Sprintf("  %-6s %-22s %-22s %-15s", s.protocol, s.local, s.remote, s.state)
	if t.pids {
		line += fmt.Sprintf(" %d", s.pid)
	}
	if t.programs {
		switch s.program {
		case "":
			line += "\r\n Can not obtain ownership information"
		case "svchost.exe":
			line += "\r\n  RpcSs\r\n [svchost.exe]"
		default:
			line += "\r\n [" + s.program + "]"
		}
	}
	return line
}

// formatTCPView3 formats a row as saved by TCPView 3.
func formatTCPView3(_ *tableGenerator, s generatedSocket) string {
	local, remote := strings.Replace(s.local, ":", "\t", 1), strings.Replace(s.remote, ":", "\t", 1)
	if s.pid == 0 {
		s.program = "[System Process]"
	}
	return fmt.Sprintf("%s\t%d\t%s\t%s\t%s\t%s\t\t\t\t", s.program, s.pid, s.protocol, local, remote, s.state)
}

// formatTCPView4 formats a row of the CSV of TCPView 4.
func formatTCPView4(_ *tableGenerator, s generatedSocket) string {
	local, remote := strings.Replace(s.local, ":", `","`, 1), strings.Replace(s.remote, ":", `","`, 1)
	state := strings.ReplaceAll(strings.ToUpper(s.state[:1])+strings.ToLower(s.state[1:]), "_", " ")
	if s.pid == 0 {
		s.program = "[Time Wait]"
	}
	return fmt.Sprintf(`"%s","%d","%s","%s","%s","%s","1/2/2026 3:04:05 PM","%s"`, s.program, s.pid, s.protocol, state, local, remote, s.program)
}

// formatNetTCPConnection formats a row of Get-NetTCPConnection.
func formatNetTCPConnection(_ *tableGenerator, s generatedSocket) string {
	local, localPort, _ := strings.Cut(s.local, ":")
	remote, remotePort, _ := strings.Cut(s.remote, ":")
	state := map[string]string{"TIME_WAIT": "TimeWait", "ESTABLISHED": "Established", "LISTENING": "Listen", "BOUND": "Bound", "CLOSE_WAIT": "CloseWait"}[s.state]
	return fmt.Sprintf("%-35s %-9s %-35s %-10s %-11s %-14s %d ", local, localPort, remote, remotePort, state, "Internet", s.pid)
}

// The headers of the tools.
var (
	headerAN  = []string{"", "Active Connections", "", "  Proto  Local Address          Foreign Address        State"}
	headerANO = []string{"", "Active Connections", "", "  Proto  Local Address          Foreign Address        State           PID"}
	headerDE  = []string{"", "Aktive Verbindungen", "", "  Proto  Lokale Adresse         Remoteadresse          Status           PID"}
	headerZH  = []string{"", "活动连接", "", "  协议  本地地址                外部地址              状态             PID"}
	headerES  = []string{"", "Conexiones activas", "", "  Proto  Dirección local        Dirección remota       Estado           PID"}
	header3   = []string{"Process\tPID\tProtocol\tLocal Address\tLocal Port\tRemote Address\tRemote Port\tState\tSent Packets\tSent Bytes\tRcvd Packets\tRcvd Bytes"}
	header4   = []string{`"Process Name","Process ID","Protocol","State","Local Address","Local Port","Remote Address","Remote Port","Create Time","Module Name"`}
	headerPS  = []string{"", "LocalAddress                        LocalPort RemoteAddress                       RemotePort State       AppliedSetting OwningProcess",
		"------------                        --------- -------------                       ---------- -----       -------------- -------------"}
)

var germanWords = map[string]string{
	"LISTENING": "ABHÖREN", "ESTABLISHED": "HERGESTELLT", "TIME_WAIT": "WARTEND",
	"CLOSE_WAIT": "SCHLIESSEN_WARTEN", "SYN_SENT": "SYN_GESENDET", "FIN_WAIT_2": "FIN_WARTEN_2",
}

// toOne returns a function that always returns the same destination.
func toOne(destination string) func(int) string { return func(int) string { return destination } }

// spreadOver returns a function that returns a new destination after each sockets.
func spreadOver(each, port int) func(int) string {
	return func(i int) string { return fmt.Sprintf("10.7.%d.%d:%d", i/each>>8&255, i/each&255, port) }
}
