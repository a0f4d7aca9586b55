package main

import (
	"encoding/json"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/netnstest"
)

// The agent's network namespace has the pools, in all output formats.
func TestReportShowsThePoolsOfSNAT(t *testing.T) {
	nft, err := exec.LookPath("nft")
	if err != nil {
		t.Skipf("%v: run make deps", err)
	}
	n := netnstest.New(t)
	rules := exec.Command(nft, "table ip t { chain c { type nat hook postrouting priority srcnat;"+
		" ip daddr 127.0.0.2 tcp dport 80 snat to 127.0.0.5:40000-40099; }; }")
	n.Start(rules)
	if err := rules.Wait(); err != nil {
		t.Fatal(err)
	}
	to := netip.MustParseAddrPort("127.0.0.2:80")
	n.Listen(to.String())
	for range 40 {
		if _, err := n.Connect(netip.AddrPort{}, to); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range openers {
		t.Run(o.name, func(t *testing.T) {
			out := runInNamespace(t, n, "report", "--reader", o.name, "--snat", "--pools", "all", "-o", "json")
			var p v1alpha1.PortPressure
			if err := json.Unmarshal([]byte(out), &p); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			pool := findSNATPool(p.Status)
			if pool == nil {
				t.Fatalf("no pool of SNAT: %s", out)
			}
			if pool.Source != "127.0.0.5" || pool.Destination != "127.0.0.2" || pool.Port != 80 ||
				pool.Used != 40 || pool.Capacity != 64512 || pool.States.Established != 40 {
				t.Errorf("%+v, %+v", *pool, *pool.States)
			}
		})
	}
	if out := runInNamespace(t, n, "report", "--snat", "--pools", "all"); !strings.Contains(out, "SNAT 127.0.0.5 → 127.0.0.2:80") {
		t.Errorf("no SNAT in the table: %s", out)
	}
	if out := runInNamespace(t, n, "report", "--pools", "all"); strings.Contains(out, "SNAT 127.0.0.5") {
		t.Errorf("SNAT without --snat: %s", out)
	}
}

func findSNATPool(s v1alpha1.PortPressureStatus) *v1alpha1.Pool {
	for i := range s.Networks {
		for j := range s.Networks[i].Pools {
			if p := &s.Networks[i].Pools[j]; p.Kind == v1alpha1.PoolSNAT {
				return p
			}
		}
	}
	return nil
}

// runInNamespace runs the agent in a network namespace, and returns its output.
func runInNamespace(t *testing.T, n *netnstest.Netns, args ...string) string {
	t.Helper()
	c := newAgentProcess(t, args...)
	var stdout, stderr strings.Builder
	c.Stdout, c.Stderr = &stdout, &stderr
	n.Start(c)
	if err := c.Wait(); err != nil {
		t.Fatalf("%v: %v: %s", args, err, stderr.String())
	}
	return stdout.String()
}
