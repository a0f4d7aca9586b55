package journal

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
)

// damage returns a copy of data that was cut off, zeroed or flipped at random.
func damage(r *rand.Rand, data []byte) []byte {
	bad := slices.Clone(data)
	switch i := r.IntN(len(bad)); r.IntN(4) {
	case 0:
		return bad[:i]
	case 1:
		clear(bad[i:min(len(bad), i+1+r.IntN(64))])
	default:
		for range 1 + r.IntN(3) {
			bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
		}
	}
	return bad
}

func TestADamagedJournalIsNeverTakenForAnother(t *testing.T) {
	want := journalState{Desired: DesiredState{Settings: []v1alpha1.Setting{{ID: "k", Key: "net.ipv4.tcp_fin_timeout", Value: "30"}}, NodeUID: "uid", Boot: "b"},
		Entries: []plan.JournalEntry{{Key: "net.ipv4.tcp_fin_timeout", Boot: "b", Original: "60", Wrote: []string{"30"}, Confirmed: true}}}
	data, err := encodeState(want)
	if err != nil {
		t.Fatal(err)
	}
	r, corrupt := rand.New(rand.NewPCG(1, 2)), 0
	for range 20000 {
		bad := damage(r, data)
		got, err := decodeState(bad)
		switch {
		case errors.Is(err, ErrNewer):
		case err != nil:
			corrupt++
		case !cmp.Equal(got, want): // white space may change
			t.Fatalf("%s is read as %+v", bad, got)
		}
	}
	if corrupt < 10000 {
		t.Errorf("only %d of 20000 damaged journals are corrupt: the test has no coverage", corrupt)
	}
}
