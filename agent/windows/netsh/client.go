package netsh

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
)

// Family is an IP version, as spelled by netsh.
type Family string

// The families.
const (
	IPv4 Family = "ipv4"
	IPv6 Family = "ipv6"
)

// Families and Protocols list all families and protocols that have ports.
var (
	Families  = []Family{IPv4, IPv6}
	Protocols = []socket.Protocol{socket.TCP, socket.UDP}
)

// Runner runs netsh with args and returns its output. If the exit status is not 0, it
// returns an error with the output in one line.
type Runner func(ctx context.Context, args ...string) ([]byte, error)

// Client runs the commands of netsh.
type Client struct{ Run Runner }

// ShowDynamicPorts returns the range from which ports are chosen.
func (c Client) ShowDynamicPorts(ctx context.Context, f Family, p socket.Protocol) (ports.Range, error) {
	text, err := c.runShow(ctx, "int", string(f), "show", "dynamicport", formatProtocol(p))
	if err != nil {
		return ports.Range{}, err
	}
	b, err := ParseDynamicPort(text)
	return b, wrapError(err, f, "dynamicport", p)
}

// SetDynamicPorts changes the range, persistently and with immediate effect. Windows accepts
// ranges of at least 255 ports that start at 1025 or above.
func (c Client) SetDynamicPorts(ctx context.Context, f Family, p socket.Protocol, r ports.Range) error {
	_, err := c.Run(ctx, "int", string(f), "set", "dynamicport", formatProtocol(p),
		formatArgument("start", int(r.First)), formatArgument("num", r.Len()))
	return wrapError(err, f, "set dynamicport", p)
}

// ShowExclusions returns the ports that are never chosen automatically, including those of
// running programs, in netsh's order.
func (c Client) ShowExclusions(ctx context.Context, f Family, p socket.Protocol) ([]Exclusion, error) {
	text, err := c.runShow(ctx, "int", string(f), "show", "excludedportrange", "protocol="+formatProtocol(p))
	if err != nil {
		return nil, err
	}
	list, err := parseExclusions(text)
	return list, wrapError(err, f, "excludedportrange", p)
}

// AddExclusion excludes the ports of r, persistently. Windows rejects ports
// that are in use.
func (c Client) AddExclusion(ctx context.Context, f Family, p socket.Protocol, r ports.Range) error {
	return c.changeExclusion(ctx, "add", f, p, r)
}

// DeleteExclusion deletes an exclusion. It must have the same ports as when it was added.
func (c Client) DeleteExclusion(ctx context.Context, f Family, p socket.Protocol, r ports.Range) error {
	return c.changeExclusion(ctx, "delete", f, p, r)
}

func (c Client) changeExclusion(ctx context.Context, verb string, f Family, p socket.Protocol, r ports.Range) error {
	_, err := c.Run(ctx, "int", string(f), verb, "excludedportrange", "protocol="+formatProtocol(p),
		formatArgument("startport", int(r.First)), formatArgument("numberofports", r.Len()), "store=persistent")
	return wrapError(err, f, verb+" excludedportrange", p)
}

// runShow runs a command whose output must not be empty. netsh exits with 0 and prints
// nothing if it does not know the command, or if it is a stub.
func (c Client) runShow(ctx context.Context, args ...string) ([]byte, error) {
	text, err := c.Run(ctx, args...)
	if err == nil && strings.TrimSpace(string(text)) == "" {
		err = fmt.Errorf("%w: nothing", errUnexpectedOutput)
	}
	if err != nil {
		return nil, fmt.Errorf("netsh %s: %w", strings.Join(args, " "), err)
	}
	return text, nil
}

func wrapError(err error, f Family, what string, p socket.Protocol) error {
	if err != nil {
		return fmt.Errorf("netsh %s %s %s: %w", f, what, formatProtocol(p), err)
	}
	return nil
}

func formatProtocol(p socket.Protocol) string { return strings.ToLower(p.String()) }

func formatArgument(name string, value int) string { return name + "=" + strconv.Itoa(value) }
