package assess

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

func TestNames(t *testing.T) {
	id := "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	tests := map[string]struct {
		owners []socket.Owner
		want   []string
	}{
		"Each kind has its name": {
			[]socket.Owner{
				{Kind: socket.OwnerHost, Process: "systemd", PID: 1},
				{Kind: socket.OwnerPod, PodUID: uid, Container: id},
				{Kind: socket.OwnerContainer, Container: id},
				{Kind: socket.OwnerProcess, Process: "sleep", PID: 77},
				{Kind: socket.OwnerNone},
				{},
			},
			[]string{"Host", "pod/" + uid, "container/0123456789ab", "process/sleep", "net:[104]", "net:[105]"},
		},
		"Two networks of one owner have their inodes": {
			[]socket.Owner{
				{Kind: socket.OwnerPod, PodUID: uid, PID: 1},
				{Kind: socket.OwnerPod, PodUID: uid, PID: 2},
				{Kind: socket.OwnerProcess, Process: "sleep", PID: 3},
				{Kind: socket.OwnerProcess, Process: "sleep", PID: 4},
				{Kind: socket.OwnerProcess, Process: "wake", PID: 5},
				{Kind: socket.OwnerContainer, Container: id},
				{Kind: socket.OwnerContainer, Container: id[1:]},
			},
			[]string{
				"pod/" + uid + " net:[100]", "pod/" + uid + " net:[101]",
				"process/sleep net:[102]", "process/sleep net:[103]", "process/wake", "container/0123456789ab", "container/123456789abc",
			},
		},
		"A pod whose name is known": {
			[]socket.Owner{{Kind: socket.OwnerPod, PodUID: uid, Namespace: "shop", Pod: "api-7f"}},
			[]string{"shop/api-7f"},
		},
		"A pod that was recreated while the old one terminates": {
			[]socket.Owner{
				{Kind: socket.OwnerPod, PodUID: uid, Namespace: "shop", Pod: "db-0"},
				{Kind: socket.OwnerPod, PodUID: otherUID, Namespace: "shop", Pod: "db-0"},
			},
			[]string{"shop/db-0 net:[100]", "shop/db-0 net:[101]"},
		},
		"A process and a pod of one name": {
			[]socket.Owner{
				{Kind: socket.OwnerProcess, Process: "sleep"},
				{Kind: socket.OwnerPod, PodUID: uid, Namespace: "process", Pod: "sleep"},
			},
			[]string{"process/sleep net:[100]", "process/sleep net:[101]"},
		},
		"The longest names fit the API, inode and all": {
			[]socket.Owner{
				{Kind: socket.OwnerPod, PodUID: uid, Namespace: strings.Repeat("n", 63), Pod: strings.Repeat("p", 253)},
				{Kind: socket.OwnerPod, PodUID: otherUID, Namespace: strings.Repeat("n", 63), Pod: strings.Repeat("p", 253)},
			},
			[]string{
				strings.Repeat("n", 63) + "/" + strings.Repeat("p", 245) + "… net:[100]",
				strings.Repeat("n", 63) + "/" + strings.Repeat("p", 245) + "… net:[101]",
			},
		},
		"An owner without its name is shown by inode": {
			[]socket.Owner{{Kind: socket.OwnerPod}, {Kind: socket.OwnerContainer}, {Kind: socket.OwnerProcess}},
			[]string{"net:[100]", "net:[101]", "net:[102]"},
		},
		"A short container ID is not an error": {
			[]socket.Owner{{Kind: socket.OwnerContainer, Container: "abc"}},
			[]string{"container/abc"},
		},
		"A hostile name loses its control characters": {
			[]socket.Owner{{Kind: socket.OwnerProcess, Process: "a\x1b[2J\u202eb\n\x00\xff"}},
			[]string{"process/a\ufffd[2J\ufffdb \ufffd\ufffd"},
		},
		"A long name is truncated": {
			[]socket.Owner{{Kind: socket.OwnerProcess, Process: strings.Repeat("é", 1000)}},
			[]string{"process/" + strings.Repeat("é", 63) + "…"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var ns []socket.Network
			for i, o := range test.owners {
				ns = append(ns, socket.Network{Inode: uint64(100 + i), Owner: o})
			}
			nameOf := NameNetworks(ns)
			var got []string
			for i := range ns {
				got = append(got, nameOf(&ns[i]))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSummary(t *testing.T) {
	connect := v1alpha1.Pool{Network: "Host", Protocol: v1alpha1.ProtocolTCP, Kind: v1alpha1.PoolConnect}
	to := func(addr string, port int32) v1alpha1.Pool {
		p := connect
		p.Destination, p.Port = addr, port
		return p
	}
	tests := map[string]struct {
		pool v1alpha1.Pool
		want string
	}{
		"IPv4":           {to("10.0.0.9", 5432), "Host → 10.0.0.9:5432"},
		"IPv6":           {to("2001:db8::9", 443), "Host → [2001:db8::9]:443"},
		"Not an address": {to("db.example", 443), "Host → db.example:443"},
		"To any":         {connect, "Host → any"},
		"bind(0)":        {v1alpha1.Pool{Network: "Host", Protocol: v1alpha1.ProtocolTCP, Kind: v1alpha1.PoolBind}, "Host bind(0)"},
		"UDP":            {v1alpha1.Pool{Network: "Host", Protocol: v1alpha1.ProtocolUDP, Kind: v1alpha1.PoolBind}, "Host UDP"},
		"SNAT": {v1alpha1.Pool{Network: "Host", Protocol: v1alpha1.ProtocolTCP, Kind: v1alpha1.PoolSNAT,
			Source: "192.0.2.1", Destination: "10.0.0.9", Port: 443}, "Host SNAT 192.0.2.1 → 10.0.0.9:443"},
		"SNAT of UDP over IPv6": {v1alpha1.Pool{Network: "Host", Protocol: v1alpha1.ProtocolUDP, Kind: v1alpha1.PoolSNAT,
			Source: "2001:db8::1", Destination: "2001:db8::9", Port: 53}, "Host UDP SNAT 2001:db8::1 → [2001:db8::9]:53"},
		"A port out of uint16":  {to("10.0.0.9", 1<<20), "Host → 10.0.0.9:1048576"},
		"A network's full name": {v1alpha1.Pool{Network: "pod/" + uid, Kind: v1alpha1.PoolConnect}, "pod/" + uid + " → any"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := SummarizePool(test.pool); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzCleanText(f *testing.F) {
	f.Add("plain", 3)
	f.Add("\x1b]0;title\a\u200b\xff", 5)
	f.Add(strings.Repeat("🂡", 40), 20)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = 1 + (limit&0x3ff)%512
		got := cleanText(s, limit)
		if n := utf8.RuneCountInString(got); n > limit {
			t.Errorf("%d characters, limit %d", n, limit)
		}
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) }) {
			t.Errorf("%q", got)
		}
	})
}

func TestEachVersionOfIPThatHasItsOwnPortsIsNamed(t *testing.T) {
	ns := []socket.Network{
		{Owner: socket.Owner{Kind: socket.OwnerHost}, Family: socket.IPv4},
		{Owner: socket.Owner{Kind: socket.OwnerHost}, Family: socket.IPv6, Inode: 6},
	}
	name := NameNetworks(ns)
	if diff := cmp.Diff([]string{"Host IPv4", "Host IPv6"}, []string{name(&ns[0]), name(&ns[1])}); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
