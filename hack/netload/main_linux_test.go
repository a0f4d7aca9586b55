package main

import (
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"portreeve.io/portreeve/internal/testutil/testnet"
)

func TestFlagsBecomeALoad(t *testing.T) {
	got, endAfter, err := parseFlags(strings.Fields("-tw 1 -est 2 -est6 3 -cw 4 -syn 5 -inbound 6 -dests 7 -churn 8 -count 11 -stay 9s -reset -to 127.0.0.1:80,127.0.0.2:81 -to [::1]:82 -hold 10s"), io.Discard)
	want := testnet.Load{
		TimeWait: 1, Established: 2, Established6: 3, CloseWait: 4, SynSent: 5, Inbound: 6, Destinations: 7,
		Churn: testnet.Churn{Rate: 8, Attempts: 11, Lifetime: 9 * time.Second, Reset: true, To: []netip.AddrPort{
			netip.MustParseAddrPort("127.0.0.1:80"), netip.MustParseAddrPort("127.0.0.2:81"), netip.MustParseAddrPort("[::1]:82"),
		}},
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(testnet.Load{}), cmpopts.EquateComparable(netip.AddrPort{})); d != "" || err != nil || endAfter != 10*time.Second {
		t.Error(d, err, endAfter)
	}
}

func TestBadFlagsAreRefused(t *testing.T) {
	for name, args := range map[string]string{
		"an unknown flag":              "-nonesuch",
		"a word that isn't a flag":     "-tw 5 please",
		"a destination without a port": "-to 127.0.0.1",
		"port 0":                       "-to 127.0.0.1:0",
		"a negative hold":              "-hold -1s",
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := parseFlags(strings.Fields(args), io.Discard); err == nil {
				t.Errorf("%s was accepted", args)
			}
		})
	}
}
