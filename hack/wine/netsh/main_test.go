package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/internal/ports"
)

// newFakeNetsh returns a folder as in a sandbox, and a client of agent/windows/netsh for it.
func newFakeNetsh(t *testing.T) (stateFolder, netsh.Client) {
	t.Helper()
	f := stateFolder(t.TempDir())
	if err := os.CopyFS(f.filePath("layouts"), os.DirFS("../../../agent/windows/netsh/testdata")); err != nil {
		t.Fatal(err)
	}
	return f, netsh.Client{Run: func(_ context.Context, args ...string) ([]byte, error) {
		out, code := f.run(args)
		if code != 0 {
			return nil, fmt.Errorf("exit status %d: %s", code, strings.TrimSpace(string(out)))
		}
		return out, nil
	}}
}

func (f stateFolder) writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(f.filePath(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsSetIsShownInEveryLanguage(t *testing.T) {
	languages, err := filepath.Glob("../../../agent/windows/netsh/testdata/dynamicport-*.txt")
	if err != nil || len(languages) < 5 {
		t.Fatalf("%d layouts: %v", len(languages), err)
	}
	for _, path := range languages {
		language := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "dynamicport-"), ".txt")
		t.Run(language, func(t *testing.T) {
			f, c := newFakeNetsh(t)
			f.writeFile(t, "language", language)
			ctx := t.Context()
			if err := errors.Join(
				c.SetDynamicPorts(ctx, netsh.IPv6, socket.UDP, ports.Range{First: 10000, Last: 59999}),
				c.AddExclusion(ctx, netsh.IPv4, socket.TCP, ports.Range{First: 30000, Last: 32767}),
				c.AddExclusion(ctx, netsh.IPv4, socket.TCP, ports.Range{First: 9001, Last: 9001}),
				c.AddExclusion(ctx, netsh.IPv4, socket.TCP, ports.Range{First: 9000, Last: 9000}),
				c.DeleteExclusion(ctx, netsh.IPv4, socket.TCP, ports.Range{First: 9000, Last: 9000}),
			); err != nil {
				t.Fatal(err)
			}
			for family, want := range map[netsh.Family]ports.Range{netsh.IPv4: {First: 49152, Last: 65535}, netsh.IPv6: {First: 10000, Last: 59999}} {
				if got, err := c.ShowDynamicPorts(ctx, family, socket.UDP); got != want || err != nil {
					t.Errorf("%s: got %v, %v, want %v", family, got, err, want)
				}
			}
			got, err := c.ShowExclusions(ctx, netsh.IPv4, socket.TCP)
			want := []netsh.Exclusion{{Range: ports.Range{First: 9001, Last: 9001}, Administered: true}, {Range: ports.Range{First: 30000, Last: 32767}, Administered: true}}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v -want +got\n%s", err, diff)
			}
			if got, err := c.ShowExclusions(ctx, netsh.IPv6, socket.TCP); len(got) != 0 || err != nil {
				t.Errorf("IPv6: %v, %v", got, err)
			}
		})
	}
}

func TestWindowsRefusals(t *testing.T) {
	f, c := newFakeNetsh(t)
	ctx := t.Context()
	if err := c.AddExclusion(ctx, netsh.IPv4, socket.TCP, ports.Range{First: 5000, Last: 5009}); err != nil {
		t.Fatal(err)
	}
	state, err := os.ReadFile(f.filePath("state.json"))
	if err != nil {
		t.Fatal(err)
	}
	// run bypasses the client, whose ranges cannot pass the last port.
	run := func(args ...string) error {
		_, err := c.Run(ctx, append([]string{"int", "ipv4"}, args...)...)
		return err
	}
	set := func(start, count int) error {
		return run("set", "dynamicport", "tcp", fmt.Sprintf("start=%d", start), fmt.Sprintf("num=%d", count))
	}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"a range that begins at 1024":   {set(1024, 1000), badParameter},
		"a range of 254 ports":          {set(2000, 254), badParameter},
		"a range beyond the last port":  {set(65000, 1000), badParameter},
		"an exclusion that overlaps":    {c.AddExclusion(ctx, netsh.IPv4, socket.TCP, ports.Range{First: 5009, Last: 5009}), inUse},
		"an exclusion beyond the ports": {run("add", "excludedportrange", "protocol=tcp", "startport=65535", "numberofports=2", "store=persistent"), badParameter},
		"a part of an exclusion":        {c.DeleteExclusion(ctx, netsh.IPv4, socket.TCP, ports.Range{First: 5000, Last: 5008}), notFound},
		"an exclusion of another pool":  {c.DeleteExclusion(ctx, netsh.IPv6, socket.TCP, ports.Range{First: 5000, Last: 5009}), notFound},
	} {
		if test.err == nil || !strings.HasSuffix(test.err.Error(), "exit status 1: "+test.want) {
			t.Errorf("%s: %v, want %s", name, test.err, test.want)
		}
	}
	if after, _ := os.ReadFile(f.filePath("state.json")); string(after) != string(state) {
		t.Errorf("the state was changed:\n%s\n%s", state, after)
	}
}

func TestFaultsAffectMatchingCommandsOnly(t *testing.T) {
	for fault, want := range map[string]string{
		"show refuse":         "exit status 1: The requested operation requires elevation (Run as administrator).",
		"empty":               "unexpected output of netsh: nothing",
		"show garbage":        "unexpected output of netsh: ",
		"ipv4 tcp show empty": "unexpected output of netsh: nothing",
		"ipv6 show refuse":    "",
		"show missing":        "exit status 3: unknown fault missing",
		"set refuse":          "",
	} {
		f, c := newFakeNetsh(t)
		f.writeFile(t, "fault", fault+"\r\n")
		_, err := c.ShowDynamicPorts(t.Context(), netsh.IPv4, socket.TCP)
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", fault, err, want)
		}
	}
	f, c := newFakeNetsh(t)
	f.writeFile(t, "fault", "set ignore\n")
	if err := c.SetDynamicPorts(t.Context(), netsh.IPv4, socket.TCP, ports.Range{First: 2000, Last: 3999}); err != nil {
		t.Errorf("the ignored command failed: %v", err)
	}
	if b, err := c.ShowDynamicPorts(t.Context(), netsh.IPv4, socket.TCP); b.First != 49152 || err != nil {
		t.Errorf("the range is %v, %v, want no change", b, err)
	}
}

func TestUnknownCommandsAreRejected(t *testing.T) {
	f, _ := newFakeNetsh(t)
	for _, line := range []string{
		"", "int ipv4 show dynamicport", "int ipv5 show dynamicport tcp", "int ipv4 delete dynamicport tcp",
		"int ipv4 set dynamicport tcp start=1", "int ipv4 set dynamicport tcp start=many num=1000",
		"int ipv4 add excludedportrange protocol=tcp startport=1 num=1", "int ipv4 show dynamicport icmp",
	} {
		if out, code := f.run(strings.Fields(line)); code != 1 || !strings.HasPrefix(string(out), badSyntax) {
			t.Errorf("%q: exit code %d, %s", line, code, out)
		}
	}
	if log, err := os.ReadFile(f.filePath("log")); err != nil || !strings.Contains(string(log), "int ipv5 show dynamicport tcp\n") {
		t.Errorf("the log has %q, %v", log, err)
	}
}
