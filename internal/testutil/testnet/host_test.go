package testnet

import (
	"os"
	"path/filepath"
	"testing"
)

const (
	kthreadd = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0"
	program  = "2 (my) (app) S 1 1 1 0 -1 4194560 0 0 0"
)

func TestLoadIsRefusedUnlessTheNamespaceIsCertainlyNotTheMachines(t *testing.T) {
	for name, c := range map[string]struct {
		own, first, second, stat string
		ok                       bool
	}{
		"another than process 1's":                       {own: "net:[2]", first: "net:[1]", ok: true},
		"that of process 1":                              {own: "net:[1]", first: "net:[1]"},
		"process 1 hidden, another than the kernel's":    {own: "net:[2]", second: "net:[1]", stat: kthreadd, ok: true},
		"process 1 hidden, that of the kernel":           {own: "net:[1]", second: "net:[1]", stat: kthreadd},
		"process 1 hidden, process 2 is some program":    {own: "net:[2]", second: "net:[1]", stat: program},
		"process 1 hidden, no process 2":                 {own: "net:[2]"},
		"process 1 hidden, process 2 has a short stat":   {own: "net:[2]", second: "net:[1]", stat: "2 (kthreadd) S 0"},
		"no /proc at all":                                {},
		"process 1 hidden, the kernel's threads as well": {own: "net:[2]", stat: kthreadd},
	} {
		t.Run(name, func(t *testing.T) {
			proc := t.TempDir()
			for pid, ns := range map[string]string{"self": c.own, "1": c.first, "2": c.second} {
				dir := filepath.Join(proc, pid, "ns")
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				if ns == "" {
					continue
				}
				if err := os.Symlink(ns, filepath.Join(dir, "net")); err != nil {
					t.Fatal(err)
				}
			}
			if c.stat != "" {
				if err := os.WriteFile(filepath.Join(proc, "2", "stat"), []byte(c.stat), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := refuseHostNamespace(proc); (err == nil) != c.ok {
				t.Errorf("error %v, want none: %v", err, c.ok)
			}
		})
	}
}
