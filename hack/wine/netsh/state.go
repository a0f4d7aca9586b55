package main

import (
	"cmp"
	"slices"
)

// state is what Windows would keep.
type state struct {
	// Dynamic are the ranges, by pool, such as "ipv4 tcp".
	Dynamic map[string]block
	// Excluded are the exclusions, by pool.
	Excluded map[string][]exclusion
}

type block struct{ Start, Count int }

type exclusion struct {
	First, Last int
	// Administered ones were added by hand; the others are of running programs.
	Administered bool
}

// installed is what Windows begins with.
func installed() *state {
	s := &state{Dynamic: map[string]block{}, Excluded: map[string][]exclusion{}}
	for _, pool := range []string{"ipv4 tcp", "ipv4 udp", "ipv6 tcp", "ipv6 udp"} {
		s.Dynamic[pool] = block{49152, 16384}
	}
	return s
}

// What Windows says to what it refuses.
const (
	badSyntax    = "The syntax supplied for this command is not valid. Check help for the correct syntax."
	badParameter = "The parameter is incorrect."
	inUse        = "The process cannot access the file because it is being used by another process."
	notFound     = "The system cannot find the file specified."
)

// change does what c says; it returns why not.
func (s *state) change(c command) string {
	switch c.verb {
	case "set":
		return s.set(c.pool, block{c.numbers["start"], c.numbers["num"]})
	case "add":
		return s.add(c.pool, portsIn(c))
	default:
		return s.remove(c.pool, portsIn(c))
	}
}

// set has the limits of
// https://learn.microsoft.com/en-us/troubleshoot/windows-server/networking/default-dynamic-port-range-tcpip-chang.
func (s *state) set(pool string, b block) string {
	if b.Start < 1025 || b.Count < 255 || b.Start+b.Count-1 > 65535 {
		return badParameter
	}
	s.Dynamic[pool] = b
	return ""
}

func portsIn(c command) exclusion {
	first := c.numbers["startport"]
	return exclusion{first, first + c.numbers["numberofports"] - 1, true}
}

func (s *state) add(pool string, e exclusion) string {
	if e.First < 1 || e.Last > 65535 || e.Last < e.First {
		return badParameter
	}
	list := s.Excluded[pool]
	if slices.ContainsFunc(list, func(o exclusion) bool { return o.First <= e.Last && e.First <= o.Last }) {
		return inUse
	}
	s.Excluded[pool] = slices.SortedFunc(slices.Values(append(list, e)), func(a, b exclusion) int { return cmp.Compare(a.First, b.First) })
	return ""
}

// remove takes only what was added as one.
func (s *state) remove(pool string, e exclusion) string {
	i := slices.Index(s.Excluded[pool], e)
	if i < 0 {
		return notFound
	}
	s.Excluded[pool] = slices.Delete(s.Excluded[pool], i, i+1)
	return ""
}
