package netns

import (
	"errors"
	"strings"
	"testing"
)

const stat = "(nginx) S 1 4242 4242 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 10 18446744073709551615 0 0"

func TestParseStat(t *testing.T) {
	tests := map[string]struct {
		file  string
		comm  string
		start uint64
		err   error
	}{
		"an ordinary process":                   {"4242 " + stat, "nginx", 987654, nil},
		"a name that imitates the format":       {"1 (x) Z 1 (y)\n) S" + stat[len("(nginx) S"):], "x) Z 1 (y)\n", 987654, nil},
		"an empty name":                         {"1 () S" + stat[len("(nginx) S"):], "", 987654, nil},
		"a file truncated before field 22":      {"4242 " + strings.Split(stat, " 987654")[0], "", 0, errMalformedStat},
		"a start time that is not a number":     {"4242 " + strings.Replace(stat, "987654", "-1", 1), "", 0, errMalformedStat},
		"parentheses in the wrong order":        {")" + stat[:6], "", 0, errMalformedStat},
		"an empty file of a process that ended": {"", "", 0, errMalformedStat},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			comm, start, err := parseStat([]byte(test.file))
			if comm != test.comm || start != test.start || !errors.Is(err, test.err) {
				t.Errorf("%q %d %v, want %q %d %v", comm, start, err, test.comm, test.start, test.err)
			}
		})
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("4242 " + stat))
	f.Add([]byte("1 (a) b) S"))
	f.Fuzz(func(t *testing.T, b []byte) {
		comm, start, err := parseStat(b)
		if err != nil && (comm != "" || start != 0) {
			t.Errorf("%q %d with %v", comm, start, err)
		}
		if err == nil && !strings.Contains(string(b), "("+comm+")") {
			t.Errorf("comm %q is not in %q", comm, b)
		}
	})
}
