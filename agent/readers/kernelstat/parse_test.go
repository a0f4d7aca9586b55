package kernelstat

import (
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseSockstat(t *testing.T) {
	file := readTestdata(t, "sockstat")
	for name, test := range map[string]struct {
		file     []byte
		protocol string
		field    string
		want     uint64
		err      error
	}{
		"TCP sockets in use":                  {file, "TCP", "inuse", 412, nil},
		"TIME_WAIT":                           {file, "TCP", "tw", 17002, nil},
		"the last field of a line":            {file, "TCP", "mem", 179, nil},
		"UDP is not UDPLITE":                  {file, "UDP", "inuse", 9, nil},
		"a protocol that isn't there":         {file, "TCP6", "inuse", 0, ErrAbsent},
		"a field that isn't there":            {file, "UDP", "tw", 0, ErrAbsent},
		"a name without its value, cut short": {[]byte("TCP: inuse"), "TCP", "inuse", 0, ErrAbsent},
		"a value that isn't a number":         {[]byte("TCP: inuse -1"), "TCP", "inuse", 0, ErrMalformed},
		"a number too big":                    {[]byte("TCP: inuse 18446744073709551616"), "TCP", "inuse", 0, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseSockstat(test.file, test.protocol, test.field)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%d, %v, want %d, %v", got, err, test.want, test.err)
			}
		})
	}
}

func TestParseNetstat(t *testing.T) {
	small := []byte("TcpExt: A B\nTcpExt: 1 2\nIpExt: A B\nIpExt: 3 4\n")
	for name, test := range map[string]struct {
		file        []byte
		group, name string
		want        uint64
		err         error
	}{
		"the first group":                {small, "TcpExt", "B", 2, nil},
		"the second group":               {small, "IpExt", "A", 3, nil},
		"a counter that isn't there":     {small, "IpExt", "C", 0, ErrAbsent},
		"a group that isn't there":       {small, "Tcp", "A", 0, ErrAbsent},
		"a kernel's file":                {readTestdata(t, "netstat"), "TcpExt", "TCPTimeWaitOverflow", 0, nil},
		"fewer values than names":        {[]byte("TcpExt: A B\nTcpExt: 1\n"), "TcpExt", "A", 0, ErrMalformed},
		"names without values":           {[]byte("TcpExt: A B\n"), "TcpExt", "A", 0, ErrAbsent},
		"names whose values are missing": {[]byte("TcpExt: A B\nIpExt: A B\nTcpExt: 1 2"), "TcpExt", "A", 0, ErrAbsent},
		"a value that isn't a number":    {[]byte("TcpExt: A\nTcpExt: 0x1\n"), "TcpExt", "A", 0, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseNetstat(test.file, test.group, test.name)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%d, %v, want %d, %v", got, err, test.want, test.err)
			}
		})
	}
}

func TestParseConntrackStat(t *testing.T) {
	for name, test := range map[string]struct {
		file []byte
		want ConntrackDrops
		err  error
	}{
		"hexadecimal columns of all CPUs": {readTestdata(t, "nf_conntrack"), ConntrackDrops{15, 16, 1}, nil},
		"an older kernel's columns":       {readTestdata(t, "nf_conntrack-5.4"), ConntrackDrops{255, 1, 2}, nil},
		"columns in another order":        {[]byte("drop early_drop x insert_failed\n1 2 3 4\n"), ConntrackDrops{4, 1, 2}, nil},
		"a column that isn't there":       {[]byte("drop early_drop\n1 2\n"), ConntrackDrops{}, ErrAbsent},
		"no CPU":                          {[]byte("insert_failed drop early_drop\n"), ConntrackDrops{}, ErrMalformed},
		"a line cut short":                {[]byte("insert_failed drop early_drop\n1 2 3\n1 2"), ConntrackDrops{}, ErrMalformed},
		"a value that isn't a number":     {[]byte("insert_failed drop early_drop\n1 2 zz\n"), ConntrackDrops{}, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseConntrackStat(test.file)
			if diff := cmp.Diff(test.want, got); diff != "" || !errors.Is(err, test.err) {
				t.Errorf("%v, want %v\n%s", err, test.err, diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"sockstat", "netstat", "nf_conntrack", "nf_conntrack-5.4"} {
		f.Add(readTestdata(f, name))
	}
	f.Add([]byte("1 2 3"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := ParseSockstat(b, "TCP", "inuse"); err != nil && n != 0 {
			t.Errorf("ParseSockstat %d with %v", n, err)
		}
		if n, err := ParseNetstat(b, "TcpExt", "ListenDrops"); err != nil && n != 0 {
			t.Errorf("ParseNetstat %d with %v", n, err)
		}
		if d, err := ParseConntrackStat(b); err != nil && d != (ConntrackDrops{}) {
			t.Errorf("ParseConntrackStat %v with %v", d, err)
		}
		if n, err := ParseNumbers(b, 3); err == nil && len(n) != 3 || err != nil && n != nil {
			t.Errorf("ParseNumbers %v with %v", n, err)
		}
	})
}
