package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// command is a command line that was understood.
type command struct {
	verb, what string // show dynamicport
	pool       string // ipv4 tcp
	numbers    map[string]int
}

// errSyntax is in Windows' words.
//
//nolint:revive // a sentence
var errSyntax = errors.New("The syntax supplied for this command is not valid. Check help for the correct syntax.")

// parse understands what Windows would, spelt in the way that agent/netsh spells it:
//
//	int ipv4|ipv6 show|set dynamicport tcp|udp [start=N num=N]
//	int ipv4|ipv6 show|add|delete excludedportrange protocol=tcp|udp [startport=N numberofports=N [store=persistent]]
func parse(args []string) (command, error) {
	if len(args) < 5 || args[0] != "int" && args[0] != "interface" || args[1] != "ipv4" && args[1] != "ipv6" {
		return command{}, errSyntax
	}
	c := command{verb: args[2], what: args[3], numbers: map[string]int{}}
	var names []string
	switch c.verb + " " + c.what {
	case "show dynamicport", "show excludedportrange":
	case "set dynamicport":
		names = []string{"start", "num"}
	case "add excludedportrange", "delete excludedportrange":
		names = []string{"startport", "numberofports"}
	default:
		return command{}, errSyntax
	}
	protocol := strings.TrimPrefix(args[4], "protocol=")
	if protocol != "tcp" && protocol != "udp" {
		return command{}, errSyntax
	}
	c.pool = args[1] + " " + protocol
	for _, arg := range args[5:] {
		name, value, _ := strings.Cut(arg, "=")
		n, err := strconv.Atoi(value)
		switch {
		case arg == "store=persistent":
		case err != nil || !slices.Contains(names, name):
			return command{}, errSyntax
		default:
			c.numbers[name] = n
		}
	}
	if len(c.numbers) != len(names) {
		return command{}, errSyntax
	}
	return c, nil
}
