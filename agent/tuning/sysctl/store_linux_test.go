package sysctl

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/testutil/netnstest"
)

const reservedPorts = settings.KeyLocalReservedPorts

func TestInvalidKeysHaveNoFile(t *testing.T) {
	root := t.TempDir()
	secret := filepath.Join(root, "kernel")
	if err := os.WriteFile(secret, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Store{Root: filepath.Join(root, "net")}
	for name, key := range map[string]string{
		"Up and out":               "../kernel",
		"Up and out in the key":    "net.ipv4.../../../kernel",
		"With slashes":             "net/ipv4/tcp_tw_reuse",
		"An absolute path":         "/proc/sys/kernel/panic",
		"Dots for slashes":         "net.ipv4..tcp_tw_reuse",
		"A NUL in it":              "net.ipv4.tcp_tw_reuse\x00.x",
		"A line's end in it":       "net.ipv4.tcp_tw_reuse\n",
		"Very long":                "net." + strings.Repeat("x", 1<<20),
		"Not a setting of net":     "kernel.panic",
		"Not one of the catalogue": "net.ipv4.ip_forward",
		"One of Windows":           settings.KeyDynamicPortsTCP,
		"Nothing":                  "",
	} {
		t.Run(name, func(t *testing.T) {
			if r := s.Read(key); r.Err == nil {
				t.Errorf("read as %+v", r)
			}
			if err := s.Write(plan.Write{Key: key, Value: "1"}); err == nil || len(err.Error()) > 300 {
				t.Errorf("written: %.400v", err)
			}
		})
	}
	if raw, err := os.ReadFile(secret); err != nil || string(raw) != "untouched" {
		t.Errorf("%s %v", raw, err)
	}
}

func TestALongListOfPortsIsWrittenAndReadCompletely(t *testing.T) {
	ns := netnstest.New(t)
	var list ports.Set
	for p := 1; p < 65535; p += 7 {
		list.Add(uint16(p))
	}
	want := list.String()
	ns.Do(func() {
		s := Store{Root: "/proc/sys"}
		for _, value := range []string{want, ""} {
			if err := s.Write(plan.Write{Key: reservedPorts, Value: value}); err != nil {
				t.Errorf("%d bytes: %v", len(value), err)
			}
			if r := s.Read(reservedPorts); r.Value != value {
				t.Errorf("%d bytes are read as %d: %s", len(value), len(r.Value), fmt.Sprint(r.Err))
			}
		}
	})
}
