package settings_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

// rfc1337 is the sysctl that a testnet.Namespace sets for itself.
const rfc1337 = "net.ipv4.tcp_rfc1337"

// TestKernelAgreesWithTheCatalogue asks a namespace of its own: the setting is there
// where its Since says so, starts with its default, and takes the ends of its range.
func TestKernelAgreesWithTheCatalogue(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the test makes a network namespace")
	}
	space, err := testnet.New()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := space.Close(); err != nil {
			t.Error(err)
		}
	}()
	kernel := readKernelRelease(t)
	asked := 0
	for _, s := range settings.All() {
		if s.OS != settings.Linux || !s.AppliesToPods() {
			continue
		}
		t.Run(s.Key, func(t *testing.T) {
			was, err := space.ReadSysctl(s.Key)
			if isOlder(kernel, s.Since) {
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the catalogue has it since %s, but kernel %v has it too: %q, %v", s.Since, kernel, was, err)
				}
				return
			}
			if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(s.Key, "net.netfilter.") {
				t.Skip("nf_conntrack is not loaded")
			}
			if err != nil {
				t.Fatal(err)
			}
			asked++
			if (s.Default != "" || s.Key == "net.ipv4.ip_local_reserved_ports") && s.Key != rfc1337 && !s.IsSame(was, s.Default) {
				t.Errorf("a new namespace has %q, the catalogue %q", was, s.Default)
			}
			for _, value := range listExtremes(s.Value) {
				if err := s.CheckValue(value); err != nil {
					t.Errorf("an end of its own range: %v", err)
				}
				// Nothing is written by writing no byte: an empty list needs its line's end.
				if err := space.WriteSysctl(s.Key, value+"\n"); err != nil {
					t.Errorf("the kernel refuses %q: %v", value, err)
				}
				if got, err := space.ReadSysctl(s.Key); err != nil || !s.IsSame(got, value) {
					t.Errorf("wrote %q, read %q, %v", value, got, err)
				}
			}
		})
	}
	if asked < 20 {
		t.Errorf("only %d settings were asked about", asked)
	}
}

// TestSettingsOfTheHostAreNotInOtherNetworks asks a namespace of its own: it can't write
// the settings that the catalogue has for the host network only.
func TestSettingsOfTheHostAreNotInOtherNetworks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the test makes a network namespace")
	}
	space, err := testnet.New()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := space.Close(); err != nil {
			t.Error(err)
		}
	}()
	asked := 0
	for _, s := range settings.All() {
		if s.OS != settings.Linux || s.Namespacing != settings.HostNetnsOnly {
			continue
		}
		asked++
		if err := space.WriteSysctl(s.Key, "8192\n"); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: written, or another error: %v", s.Key, err)
		}
	}
	if asked < 8 {
		t.Errorf("only %d settings were asked about", asked)
	}
}

// listExtremes returns the extreme values of a set, and values that the kernel prints in
// its own format.
func listExtremes(v settings.Value) []string {
	switch v := v.(type) {
	case settings.Integer:
		return []string{strconv.FormatInt(v.Min, 10), strconv.FormatInt(v.Max, 10)}
	case settings.Choice:
		var all []string
		for _, o := range v {
			all = append(all, o.Value)
		}
		return all
	case settings.Span:
		return []string{fmt.Sprintf("%d 65535", v.MinFirst), fmt.Sprintf("%d %d", 65536-v.MinPorts, 65535)}
	case settings.PortList:
		return []string{"8080", "9,8,30000-32767,5-7", "0-65535", ""}
	}
	return nil
}

func readKernelRelease(t *testing.T) (v [2]int) {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &v[0], &v[1]); err != nil {
		t.Fatal(err)
	}
	return v
}

func isOlder(kernel [2]int, since string) bool {
	var v [2]int
	if _, err := fmt.Sscanf(since, "%d.%d", &v[0], &v[1]); err != nil {
		return false
	}
	return kernel[0] < v[0] || kernel[0] == v[0] && kernel[1] < v[1]
}
