package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// asMain is an environment variable that makes the test binary run main.
const asMain = "PORTREEVE_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
	}
	os.Exit(m.Run())
}

// fakeReader returns the same sample each time. It calls after with the number of samples.
type fakeReader struct {
	message string
	samples int
	after   func(samples int)
	err     error
	closed  bool
}

func (r *fakeReader) Sample(ctx context.Context, _ socket.Request) (socket.Sample, error) {
	if r.samples++; r.after != nil {
		r.after(r.samples)
	}
	if err := ctx.Err(); r.err == nil && err != nil {
		return socket.Sample{}, err // as readers do
	}
	return socket.Sample{
		Taken:  time.Date(2025, 11, 21, 2, 59, 58, 0, time.UTC),
		Reader: socket.Reader{Name: "fake", Exactness: socket.Exact, Message: r.message},
		Networks: []socket.Network{{
			Inode: 1, Owner: socket.Owner{Kind: socket.OwnerHost}, Detailed: true,
			Settings: socket.Settings{Range: ports.Range{First: 40000, Last: 40099}},
			Destinations: []socket.Destination{{
				Source: netip.MustParseAddr("10.0.0.4"), Address: netip.MustParseAddr("10.0.0.9"), Port: 443,
				States: tcpstate.Counts{tcpstate.Established: 60},
			}},
		}},
	}, r.err
}

func (r *fakeReader) Close() error { r.closed = true; return nil }

func newOpener(name string, r agent.Reader, err error) readerOpener {
	return readerOpener{name, func(readerOptions) (agent.Reader, error) { return r, err }}
}

// commandResult is the result of a command.
type commandResult struct {
	code           int
	stdout, stderr string
}

func runCommand(ctx context.Context, env map[string]string, all []readerOpener, args ...string) commandResult {
	var stdout, stderr bytes.Buffer
	a := app{stdout: &stdout, stderr: &stderr, getenv: func(k string) string { return env[k] }, openers: all}
	code := a.runArgs(ctx, args)
	return commandResult{code, stdout.String(), stderr.String()}
}

func TestBadUsageIsOneLineAndExitCode2(t *testing.T) {
	const flags = "--output, --watch, --interval, --cpu-budget, --reader, --pools, --snat, --node-port-range, --proc, --help"
	tests := map[string]struct {
		args string
		want string
	}{
		"An unknown command":         {"reprot", `unknown command "reprot": must be analyze, convert, report, restore, run or selftest`},
		"An unknown flag":            {"report --colour", `unknown flag "--colour": report has ` + flags},
		"An unknown short flag":      {"report -x", `unknown flag "-x": report has ` + flags},
		"An argument":                {"report eth0", `report takes flags only, not "eth0"`},
		"An unknown output":          {"report -o xml", `--output "xml": must be table, yaml or json`},
		"An empty output":            {"report --output=", `--output "": must be table, yaml or json`},
		"A flag without its value":   {"report --output", `--output needs a value: table, yaml or json`},
		"An unknown reader":          {"report --reader ss", `--reader "ss": must be auto or fake`},
		"An interval of 0":           {"report --watch --interval 0", `--interval "0": must be a duration of 100ms or more, such as 1s`},
		"A short interval":           {"report --watch --interval 99ms", `--interval "99ms": must be a duration of 100ms or more, such as 1s`},
		"An interval without unit":   {"report --watch --interval 5", `--interval "5": must be a duration of 100ms or more, such as 1s`},
		"An interval without watch":  {"report --interval 5s", `--interval "5s": needs --watch`},
		"0 pools":                    {"report --pools 0", `--pools "0": must be a number from 1 on, or all`},
		"A negative number of pools": {"report --pools=-1", `--pools "-1": must be a number from 1 on, or all`},
		"Too many pools to count":    {"report --pools 99999999999", `--pools "99999999999": must be a number from 1 on, or all`},
		"An invalid boolean":         {"report --watch=maybe", `--watch "maybe": must be true or false`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := runCommand(t.Context(), nil, []readerOpener{newOpener("fake", &fakeReader{}, nil)}, strings.Fields(test.args)...)
			want := commandResult{exitUsage, "", "portreeve-agent: " + test.want + "\n"}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(commandResult{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	for args, want := range map[string]string{
		"--version":     "portreeve-agent version dev\n",
		"":              "Measures the ephemeral-port usage",
		"report --help": "--pools N|all",
	} {
		got := runCommand(t.Context(), nil, nil, strings.Fields(args)...)
		if got.code != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

func TestTheFirstReaderThatOpensIsUsed(t *testing.T) {
	no := errors.New("walk: missing capabilities:\nBPF")
	walk, diag := &fakeReader{message: "exact"}, &fakeReader{message: "bound"}
	tests := map[string]struct {
		name    string
		all     []readerOpener
		message string
		err     string
	}{
		"The better one":                          {"auto", []readerOpener{newOpener("walk", walk, nil), newOpener("diag", diag, nil)}, "exact", ""},
		"The other, with the reason":              {"auto", []readerOpener{newOpener("walk", nil, no), newOpener("diag", diag, nil)}, "walk: missing capabilities: BPF; bound", ""},
		"The other, without a message of its own": {"auto", []readerOpener{newOpener("walk", nil, no), newOpener("diag", &fakeReader{}, nil)}, "walk: missing capabilities: BPF", ""},
		"The requested one":                       {"diag", []readerOpener{newOpener("walk", walk, nil), newOpener("diag", diag, nil)}, "bound", ""},
		"The requested one fails":                 {"walk", []readerOpener{newOpener("walk", nil, no), newOpener("diag", diag, nil)}, "", "no reader can be opened: walk: missing capabilities: BPF"},
		"All fail":                                {"auto", []readerOpener{newOpener("walk", nil, no), newOpener("diag", nil, errors.New("no"))}, "", "no reader can be opened: walk: missing capabilities: BPF; diag: no"},
		"None for an operating system":            {"auto", nil, "", errNoReader.Error()},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := openReader(test.name, test.all, readerOptions{})
			if err != nil || test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Fatalf("got %v, want %q", err, test.err)
				}
				return
			}
			if s, _ := r.Sample(t.Context(), socket.Request{}); s.Reader.Message != test.message {
				t.Errorf("got %q, want %q", s.Reader.Message, test.message)
			}
		})
	}
}

func TestRunRejectsBadOptionsInOneLine(t *testing.T) {
	for name, c := range map[string]struct {
		args string
		env  map[string]string
		want string
	}{
		"no node name":                  {"run", nil, "--node-name is missing"},
		"a tick without a unit":         {"run --node-name a --tick 5", nil, `--tick "5": must be a duration`},
		"the same from the environment": {"run", map[string]string{"NODE_NAME": "a", "PORTREEVE_TICK": "5"}, `PORTREEVE_TICK "5": must be a duration`},
		"a budget of 0":                 {"run --node-name a --cpu-budget 0", nil, `--cpu-budget "0": must be a whole number from 1 to 100`},
		"an unknown source of names":    {"run --node-name a --pod-names dns", nil, `--pod-names "dns": must be auto, logs, api or uid`},
		"neither kubeconfig nor pod":    {"run --node-name a", nil, "no --kubeconfig, and not running in a pod"},
		"a missing kubeconfig":          {"run --node-name a --kubeconfig /nowhere/config", nil, `--kubeconfig "/nowhere/config":`},
		"the flag takes precedence":     {"run --node-name a --kubeconfig /flag", map[string]string{"PORTREEVE_KUBECONFIG": "/env"}, `--kubeconfig "/flag":`},
		"the environment sets the flag": {"run --node-name a", map[string]string{"PORTREEVE_KUBECONFIG": "/env"}, `--kubeconfig "/env":`},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			a := app{stdout: io.Discard, stderr: &stderr, openers: openers, getenv: func(k string) string { return c.env[k] }}
			code := a.runArgs(t.Context(), strings.Fields(c.args))
			if code != exitUsage || !strings.Contains(stderr.String(), c.want) || strings.Count(stderr.String(), "\n") != 1 {
				t.Errorf("exit code %d: %s", code, stderr.String())
			}
		})
	}
}
