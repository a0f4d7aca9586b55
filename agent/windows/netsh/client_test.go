package netsh

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
)

// newFakeRunner returns a Runner with that output, and the command lines that it receives.
func newFakeRunner(text string, err error) (Runner, *[]string) {
	lines := new([]string)
	return func(_ context.Context, args ...string) ([]byte, error) {
		*lines = append(*lines, strings.Join(args, " "))
		return []byte(text), err
	}, lines
}

func TestCommandLines(t *testing.T) {
	run, lines := newFakeRunner("Ok.", nil)
	c, ctx := Client{run}, t.Context()
	_, _ = c.ShowDynamicPorts(ctx, IPv4, socket.TCP)
	_, _ = c.ShowExclusions(ctx, IPv6, socket.UDP)
	for _, err := range []error{
		c.SetDynamicPorts(ctx, IPv6, socket.UDP, ports.Range{First: 10000, Last: 59999}),
		c.AddExclusion(ctx, IPv4, socket.TCP, ports.Range{First: 30000, Last: 32767}),
		c.DeleteExclusion(ctx, IPv4, socket.UDP, ports.Range{First: 65330, Last: 65330}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{
		"int ipv4 show dynamicport tcp",
		"int ipv6 show excludedportrange protocol=udp",
		"int ipv6 set dynamicport udp start=10000 num=50000",
		"int ipv4 add excludedportrange protocol=tcp startport=30000 numberofports=2768 store=persistent",
		"int ipv4 delete excludedportrange protocol=udp startport=65330 numberofports=1 store=persistent",
	}
	if diff := cmp.Diff(want, *lines); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestAnErrorNamesTheCommand(t *testing.T) {
	tests := map[string]struct {
		text string
		err  error
		want string
	}{
		"It fails":                         {"", errors.New("exit status 1"), "netsh int ipv4 show dynamicport tcp: exit status 1"},
		"Its output is empty, as a stub's": {" \r\n", nil, "netsh int ipv4 show dynamicport tcp: unexpected output of netsh: nothing"},
		"Its output has another layout":    {"Hello", nil, "netsh ipv4 dynamicport tcp: unexpected output"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			run, _ := newFakeRunner(test.text, test.err)
			_, err := Client{run}.ShowDynamicPorts(t.Context(), IPv4, socket.TCP)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
