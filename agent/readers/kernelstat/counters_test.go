package kernelstat

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
)

func writeFile(t *testing.T, proc, name, content string) {
	t.Helper()
	path := filepath.Join(proc, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	proc := t.TempDir()
	for name, content := range map[string]string{
		"sys/net/netfilter/nf_conntrack_count": "7\n",
		"sys/net/netfilter/nf_conntrack_max":   "262144\n",
		"self/net/stat/nf_conntrack":           string(readTestdata(t, "nf_conntrack")),
		"self/net/netstat":                     "TcpExt: TCPTimeWaitOverflow ListenOverflows ListenDrops\nTcpExt: 1 2 3\n",
		"self/net/sockstat":                    string(readTestdata(t, "sockstat")),
		"sys/net/ipv4/tcp_mem":                 "10\t20\t30\n",
		"sys/net/ipv4/tcp_max_orphans":         "131072\n",
		"sys/fs/file-nr":                       "1067\t0\t2466183\n",
	} {
		writeFile(t, proc, name, content)
	}
	want := Counters{
		Conntrack: &Conntrack{7, 262144}, ConntrackDrops: &ConntrackDrops{15, 16, 1},
		TimeWaitOverflow: new(uint64(1)), ListenOverflows: new(uint64(2)), ListenDrops: new(uint64(3)),
		Orphans: new(uint64(3)), TCPMemory: new(uint64(179)),
		TCPMemoryLimits: &[3]uint64{10, 20, 30}, MaxOrphans: new(uint64(131072)),
		OpenFiles: new(uint64(1067)), MaxFiles: new(uint64(2466183)),
	}
	got, unobserved := Read(proc)
	if diff := cmp.Diff(want, got); diff != "" || len(unobserved) > 0 {
		t.Errorf("unobserved %v\n%s", unobserved, diff)
	}
}

func TestMissingCountersAreUnobservedAndNeverZero(t *testing.T) {
	proc := t.TempDir()
	writeFile(t, proc, "self/net/sockstat", "garbage\n")
	writeFile(t, proc, "sys/net/netfilter/nf_conntrack_count", "7\n") // useless without the limit
	got, unobserved := Read(proc)
	if diff := cmp.Diff(Counters{}, got); diff != "" {
		t.Error(diff)
	}
	at := func(file, hint string) string {
		return "open " + filepath.Join(proc, file) + ": no such file or directory" + hint
	}
	const hostNetwork = " (exists only in the node's network namespace; this needs hostNetwork)"
	want := []socket.Unobserved{
		{Item: "conntrack limit", Reason: at("sys/net/netfilter/nf_conntrack_max", " (nf_conntrack is not loaded)")},
		{Item: "conntrack drops", Reason: at("self/net/stat/nf_conntrack",
			" (nf_conntrack is not loaded, or built without CONFIG_NF_CONNTRACK_PROCFS)")},
		{Item: "TCPTimeWaitOverflow", Reason: at("self/net/netstat", "")},
		{Item: "ListenOverflows", Reason: at("self/net/netstat", "")},
		{Item: "ListenDrops", Reason: at("self/net/netstat", "")},
		{Item: "TCP orphans", Reason: proc + "/self/net/sockstat: TCP orphan: the kernel does not report it"},
		{Item: "TCP memory", Reason: proc + "/self/net/sockstat: TCP mem: the kernel does not report it"},
		{Item: "TCP orphan limit", Reason: at("sys/net/ipv4/tcp_max_orphans", hostNetwork)},
		{Item: "TCP memory limits", Reason: at("sys/net/ipv4/tcp_mem", hostNetwork)},
		{Item: "open files", Reason: at("sys/fs/file-nr", "")},
	}
	if diff := cmp.Diff(want, unobserved); diff != "" {
		t.Error(diff)
	}
}
