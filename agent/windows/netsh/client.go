package netsh

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
)

// Family is the version of IP whose ports are meant, as netsh spells it.
type Family string

// The families.
const (
	IPv4 Family = "ipv4"
	IPv6 Family = "ipv6"
)

// Families and Protocols are all that have ports of their own.
var (
	Families  = []Family{IPv4, IPv6}
	Protocols = []socket.Protocol{socket.TCP, socket.UDP}
)

// Run runs netsh with args and returns what it printed. An exit status other than 0 is
// an error with that text in one line.
type Run func(ctx context.Context, args ...string) ([]byte, error)

// Client asks netsh.
type Client struct{ Run Run }

// DynamicPorts is the range that ports are chosen from.
func (c Client) DynamicPorts(ctx context.Context, f Family, p socket.Protocol) (ports.Range, error) {
	text, err := c.show(ctx, "int", string(f), "show", "dynamicport", protocol(p))
	if err != nil {
		return ports.Range{}, err
	}
	b, err := parseDynamicPort(text)
	return b, explain(err, f, "dynamicport", p)
}

// SetDynamicPorts changes it, for good and at once. Windows takes at least 255 ports,
// from 1025 on.
func (c Client) SetDynamicPorts(ctx context.Context, f Family, p socket.Protocol, r ports.Range) error {
	_, err := c.Run(ctx, "int", string(f), "set", "dynamicport", protocol(p), is("start", int(r.First)), is("num", r.Len()))
	return explain(err, f, "set dynamicport", p)
}

// Exclusions are the ports that are never chosen by themselves, in netsh's order, those
// of running programs included.
func (c Client) Exclusions(ctx context.Context, f Family, p socket.Protocol) ([]Exclusion, error) {
	text, err := c.show(ctx, "int", string(f), "show", "excludedportrange", "protocol="+protocol(p))
	if err != nil {
		return nil, err
	}
	list, err := parseExclusions(text)
	return list, explain(err, f, "excludedportrange", p)
}

// AddExclusion excludes the ports of r persistently. Windows refuses ports that are in
// use.
func (c Client) AddExclusion(ctx context.Context, f Family, p socket.Protocol, r ports.Range) error {
	return c.exclusion(ctx, "add", f, p, r)
}

// DeleteExclusion takes back what AddExclusion did; it must be the same ports.
func (c Client) DeleteExclusion(ctx context.Context, f Family, p socket.Protocol, r ports.Range) error {
	return c.exclusion(ctx, "delete", f, p, r)
}

func (c Client) exclusion(ctx context.Context, verb string, f Family, p socket.Protocol, r ports.Range) error {
	_, err := c.Run(ctx, "int", string(f), verb, "excludedportrange", "protocol="+protocol(p),
		is("startport", int(r.First)), is("numberofports", r.Len()), "store=persistent")
	return explain(err, f, verb+" excludedportrange", p)
}

// show is an answer that must not be empty: netsh exits with 0 and says nothing where a
// command is none of its own, or where it is a stub.
func (c Client) show(ctx context.Context, args ...string) ([]byte, error) {
	text, err := c.Run(ctx, args...)
	if err == nil && strings.TrimSpace(string(text)) == "" {
		err = fmt.Errorf("%w: nothing", errLayout)
	}
	if err != nil {
		return nil, fmt.Errorf("netsh %s: %w", strings.Join(args, " "), err)
	}
	return text, nil
}

func explain(err error, f Family, what string, p socket.Protocol) error {
	if err != nil {
		return fmt.Errorf("netsh %s %s %s: %w", f, what, protocol(p), err)
	}
	return nil
}

func protocol(p socket.Protocol) string { return strings.ToLower(p.String()) }

func is(name string, value int) string { return name + "=" + strconv.Itoa(value) }
