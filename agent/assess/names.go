package assess

import (
	"fmt"
	"strings"
	"unicode"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// shortContainer is how much of a container's ID people use.
const shortContainer = 12

// Names returns the function that names the networks of one sample. Names are
// distinct: a network that would share its name with another (a pod can have
// two, and a process "a" shares its own with pod "a" of namespace "process") has
// its inode in it.
func Names(ns []socket.Network) func(*socket.Network) string {
	count := make(map[string]int, len(ns))
	for i := range ns {
		count[networkName(&ns[i])]++
	}
	return func(n *socket.Network) string {
		name := networkName(n)
		switch {
		case name == "":
			return inodeName(n.Inode)
		case count[name] > 1:
			inode := " " + inodeName(n.Inode)
			return clip(name, maxName-len(inode)) + inode
		}
		return name
	}
}

// maxName is the API's limit of a network's name, in characters.
const maxName = 320

// networkName is the owner's, with the version of IP where each has a network.
func networkName(n *socket.Network) string {
	if n.Family != socket.AnyFamily {
		return ownerName(&n.Owner) + " " + n.Family.String()
	}
	return ownerName(&n.Owner)
}

// ownerName is empty for an owner without a name.
func ownerName(o *socket.Owner) string {
	switch {
	case o.Kind == socket.OwnerHost:
		return "Host"
	case o.Kind == socket.OwnerPod && o.Pod != "":
		return clip(o.Namespace, 63) + "/" + clip(o.Pod, 253)
	case o.Kind == socket.OwnerPod && o.PodUID != "":
		return "pod/" + clip(o.PodUID, 64)
	case o.Kind == socket.OwnerContainer && o.Container != "":
		return "container/" + clip(head(o.Container, shortContainer), 64)
	case o.Kind == socket.OwnerProcess && o.Process != "":
		return "process/" + clip(o.Process, 64)
	}
	return ""
}

// inodeName is how the kernel spells a network namespace (/proc/PID/ns/net).
func inodeName(inode uint64) string { return fmt.Sprintf("net:[%d]", inode) }

// Summary is p in one line for people. It takes p's own network name.
func Summary(p v1alpha1.Pool) string {
	return clip(p.Network+" "+p.Purpose(), 512)
}

func head(s string, n int) string { return s[:min(n, len(s))] }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// clip makes s fit the API: at most limit characters, and none that could move
// a cursor or hide, whoever chose the name of a process.
func clip(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return s
}
