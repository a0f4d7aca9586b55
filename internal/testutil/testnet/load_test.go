package testnet

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestALoadIsSplitSoThatEachPartFitsItsDescriptors(t *testing.T) {
	for name, c := range map[string]struct {
		load Load
		most int
		want []Load
		rest Load
	}{
		"a load that fits is not split": {
			load: Load{Established: 60, Inbound: 40}, most: 100,
			rest: Load{Established: 60, Inbound: 40},
		},
		"TIME_WAIT needs no descriptors": {
			load: Load{TimeWait: 1000}, most: 100,
			rest: Load{TimeWait: 1000},
		},
		"each part has one state and the whole's destinations": {
			load: Load{TimeWait: 7, Established: 150, SynSent: 10}, most: 100,
			want: []Load{
				{Established: 100, Destinations: 1, part: 1},
				{Established: 50, Destinations: 1, part: 2},
				{SynSent: 10, Destinations: 1, part: 3},
			},
			rest: Load{TimeWait: 7},
		},
		"destinations follow the count": {
			load: Load{Inbound: 8001}, most: 8000,
			want: []Load{{Inbound: 8000, Destinations: 3, part: 1}, {Inbound: 1, Destinations: 3, part: 2}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.load.splitParts(c.most)
			same := cmp.AllowUnexported(Load{})
			if d := cmp.Diff(c.want, got, same); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.rest, c.load, same); d != "" {
				t.Error("left: " + d)
			}
		})
	}
}

func TestALoadIsEncodedForItsProcessAndDecoded(t *testing.T) {
	want := Load{TimeWait: 3, part: 2}
	want.Churn.Lifetime = time.Second
	want.Churn.To = append(want.Churn.To, churnDestination)
	s, err := want.encodeLoad()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeLoad(s)
	if err != nil || got.part != 2 || got.Churn.To[0] != churnDestination || got.Churn.Lifetime != time.Second || got.TimeWait != 3 {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	if _, err := decodeLoad("{"); err == nil {
		t.Error("a broken load was accepted")
	}
}

func TestABadLoadIsRefusedInOneLine(t *testing.T) {
	for name, c := range map[string]struct {
		load Load
		says string
	}{
		"a negative count":      {Load{SynSent: -1}, "SYN_SENT is -1"},
		"too many destinations": {Load{Destinations: 1 << 17}, "131072 destinations"},
		"too many inbound":      {Load{Inbound: 1 << 20}, "1048576 inbound"},
		"a negative lifetime":   {Load{Churn: Churn{Lifetime: -1}}, "lifetime is -1ns"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.load.checkLimits()
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, c.says)
			}
		})
	}
}
