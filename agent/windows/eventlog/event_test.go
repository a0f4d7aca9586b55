package eventlog

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseEvent(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 41, 7, 812345600, time.UTC)
	for file, want := range map[string]struct {
		event  Event
		reason string
	}{
		"4227.xml":  {Event{"Tcpip", 4227, at}, v1alpha1.FailureTCPPortReusedTooSoon},
		"4231.xml":  {Event{"Tcpip", 4231, at}, v1alpha1.FailureTCPPortsExhausted},
		"4266.xml":  {Event{"Tcpip", 4266, at}, v1alpha1.FailureUDPPortsExhausted},
		"1033.xml":  {Event{"Microsoft-Windows-WinNat", 1033, at}, v1alpha1.FailureWinNATPortsExhausted},
		"other.xml": {Event{"Microsoft-Windows-DHCPv6-Client", 4231, at}, ""},
	} {
		got, err := ParseEvent(readTestdata(t, file))
		if diff := cmp.Diff(want.event, got); diff != "" || err != nil || got.FailureReason() != want.reason {
			t.Errorf("%s: %v, %q %s", file, err, got.FailureReason(), diff)
		}
	}
}

func TestOtherTextIsMalformed(t *testing.T) {
	good := string(readTestdata(t, "4231.xml"))
	for name, text := range map[string]string{
		"nothing":                    "",
		"no XML":                     "Log Name: System",
		"cut short":                  good[:len(good)/2],
		"something else":             "<Events/>",
		"an ID that is not a number": strings.Replace(good, ">4231<", ">x<", 1),
		"an invalid time":            strings.Replace(good, "2026-03-02", "2026-13-02", 1),
		"no provider":                strings.Replace(good, "Name='Tcpip'", "", 1),
	} {
		if got, err := ParseEvent([]byte(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestFailureCounter(t *testing.T) {
	var counter FailureCounter
	if got := counter.ListFailures(); got == nil || len(got) != 0 {
		t.Errorf("%v, want an empty list that is not nil", got)
	}
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for i, e := range []Event{{"Tcpip", 4266, at}, {"Tcpip", 4231, at}, {"Tcpip", 4231, at}, {"Tcpip", 4201, at}, {"Tcpip", 4231, at}} {
		e.At = at.Add(-time.Duration(i) * time.Minute)
		counter.Add(e)
	}
	want := []socket.Failure{
		{Reason: v1alpha1.FailureTCPPortsExhausted, Count: 3, LastAt: at.Add(-time.Minute)},
		{Reason: v1alpha1.FailureUDPPortsExhausted, Count: 1, LastAt: at},
	}
	if diff := cmp.Diff(want, counter.ListFailures(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

// FuzzParseEvent checks that every parsed event is complete.
func FuzzParseEvent(f *testing.F) {
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range files {
		f.Add(readTestdata(f, filepath.Base(name)))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := ParseEvent(text)
		if (err == nil) == (e == Event{}) {
			t.Errorf("%+v, %v", e, err)
		}
		if err == nil && (e.Provider == "" || e.ID == 0) {
			t.Errorf("%+v", e)
		}
	})
}
