package kernelstat

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// neighbourStat is /proc/net/stat/arp_cache of Linux 6.18 with two CPUs.
const neighbourStat = `entries  allocs   destroys hash_grows lookups  hits     res_failed rcv_probes_mcast rcv_probes_ucast periodic_gc_runs forced_gc_runs unresolved_discards table_fulls
000003f7 00000004 00000000 00000000 00000000 00000000 00000000   00000000         00000000         00000008         00000001       00000000            0000000a
000003f7 00000004 00000000 00000000 00000000 00000000 00000000   00000000         00000000         00000008         00000001       00000000            00000001
`

func TestNeighbourTables(t *testing.T) {
	for name, test := range map[string]struct {
		file string
		want Neighbours
		err  error
	}{
		"two CPUs":            {neighbourStat, Neighbours{Entries: 1015, Overflows: 11}, nil},
		"a missing column":    {"entries allocs\n1 2\n", Neighbours{}, ErrAbsent},
		"no CPU":              {"entries table_fulls\n", Neighbours{}, ErrMalformed},
		"too few values":      {"entries table_fulls\n1\n", Neighbours{}, ErrMalformed},
		"a value that is not": {"entries table_fulls\n1 x\n", Neighbours{}, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ParseNeighbourStat([]byte(test.file)); got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%+v, %v, want %+v, %v", got, err, test.want, test.err)
			}
		})
	}
}

func TestNeighboursAreReadWhereTheyAreShown(t *testing.T) {
	proc := t.TempDir()
	for file, text := range map[string]string{"sys/net/ipv4/neigh/default/gc_thresh3": "1024\n", "self/net/stat/arp_cache": neighbourStat} {
		path := filepath.Join(proc, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	c, _ := Read(proc)
	if n := c.Neighbours[0]; n == nil || *n != (Neighbours{Entries: 1015, Max: 1024, Overflows: 11}) || c.Neighbours[1] != nil {
		t.Errorf("%+v, %+v", n, c.Neighbours[1])
	}
}
