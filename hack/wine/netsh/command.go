package main

import (
	"slices"
	"strconv"
	"strings"
)

// netshCommand is a parsed command line.
type netshCommand struct {
	verb, what string // show dynamicport
	pool       string // ipv4 tcp
	numbers    map[string]int
}

// parseCommand parses the valid command lines that agent/windows/netsh uses:
//
//	int ipv4|ipv6 show|set dynamicport tcp|udp [start=N num=N]
//	int ipv4|ipv6 show|add|delete excludedportrange protocol=tcp|udp [startport=N numberofports=N [store=persistent]]
func parseCommand(args []string) (c netshCommand, ok bool) {
	if len(args) < 5 || args[0] != "int" && args[0] != "interface" || args[1] != "ipv4" && args[1] != "ipv6" {
		return c, false
	}
	c = netshCommand{verb: args[2], what: args[3], numbers: map[string]int{}}
	var names []string
	switch c.verb + " " + c.what {
	case "show dynamicport", "show excludedportrange":
	case "set dynamicport":
		names = []string{"start", "num"}
	case "add excludedportrange", "delete excludedportrange":
		names = []string{"startport", "numberofports"}
	default:
		return c, false
	}
	protocol := strings.TrimPrefix(args[4], "protocol=")
	if protocol != "tcp" && protocol != "udp" {
		return c, false
	}
	c.pool = args[1] + " " + protocol
	for _, arg := range args[5:] {
		name, value, _ := strings.Cut(arg, "=")
		n, err := strconv.Atoi(value)
		switch {
		case arg == "store=persistent":
		case err != nil || !slices.Contains(names, name):
			return c, false
		default:
			c.numbers[name] = n
		}
	}
	if len(c.numbers) != len(names) {
		return c, false
	}
	return c, true
}
