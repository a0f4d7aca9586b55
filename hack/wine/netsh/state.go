package main

import (
	"cmp"
	"slices"
)

// netshState is the state that Windows would store.
type netshState struct {
	// Dynamic contains the ranges by pool, such as "ipv4 tcp".
	Dynamic map[string]portBlock
	// Excluded contains the exclusions by pool.
	Excluded map[string][]exclusion
}

type portBlock struct{ Start, Count int }

type exclusion struct {
	First, Last int
	// Administered is true for exclusions added by netsh, not by running programs.
	Administered bool
}

// newDefaultState returns Windows' defaults.
func newDefaultState() *netshState {
	s := &netshState{Dynamic: map[string]portBlock{}, Excluded: map[string][]exclusion{}}
	for _, pool := range []string{"ipv4 tcp", "ipv4 udp", "ipv6 tcp", "ipv6 udp"} {
		s.Dynamic[pool] = portBlock{49152, 16384}
	}
	return s
}

// Windows' error messages.
const (
	badSyntax    = "The syntax supplied for this command is not valid. Check help for the correct syntax."
	badParameter = "The parameter is incorrect."
	inUse        = "The process cannot access the file because it is being used by another process."
	notFound     = "The system cannot find the file specified."
)

// applyCommand executes c and returns an error message if it fails.
func (s *netshState) applyCommand(c netshCommand) string {
	switch c.verb {
	case "set":
		return s.setRange(c.pool, portBlock{c.numbers["start"], c.numbers["num"]})
	case "add":
		return s.addExclusion(c.pool, parseExclusion(c))
	default:
		return s.deleteExclusion(c.pool, parseExclusion(c))
	}
}

// setRange sets a range within the limits of
// https://learn.microsoft.com/en-us/troubleshoot/windows-server/networking/default-dynamic-port-range-tcpip-chang.
func (s *netshState) setRange(pool string, b portBlock) string {
	if b.Start < 1025 || b.Count < 255 || b.Start+b.Count-1 > 65535 {
		return badParameter
	}
	s.Dynamic[pool] = b
	return ""
}

func parseExclusion(c netshCommand) exclusion {
	first := c.numbers["startport"]
	return exclusion{First: first, Last: first + c.numbers["numberofports"] - 1, Administered: true}
}

func (s *netshState) addExclusion(pool string, e exclusion) string {
	if e.First < 1 || e.Last > 65535 || e.Last < e.First {
		return badParameter
	}
	list := s.Excluded[pool]
	if slices.ContainsFunc(list, func(o exclusion) bool { return o.First <= e.Last && e.First <= o.Last }) {
		return inUse
	}
	s.Excluded[pool] = slices.SortedFunc(slices.Values(append(list, e)),
		func(a, b exclusion) int { return cmp.Compare(a.First, b.First) })
	return ""
}

// deleteExclusion deletes an exclusion with exactly the ports of e.
func (s *netshState) deleteExclusion(pool string, e exclusion) string {
	i := slices.Index(s.Excluded[pool], e)
	if i < 0 {
		return notFound
	}
	s.Excluded[pool] = slices.Delete(s.Excluded[pool], i, i+1)
	return ""
}
