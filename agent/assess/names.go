package assess

import (
	"fmt"
	"strings"
	"unicode"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// shortIDLength is how much of a container's ID people use.
const shortIDLength = 12

// NameNetworks returns the function that names the networks of one sample. Names are
// distinct: a network that would share its name with another (a pod can have
// two, and a process "a" shares its own with pod "a" of namespace "process") has
// its inode in it.
func NameNetworks(ns []socket.Network) func(*socket.Network) string {
	count := make(map[string]int, len(ns))
	for i := range ns {
		count[formatNetworkName(&ns[i])]++
	}
	return func(n *socket.Network) string {
		name := formatNetworkName(n)
		switch {
		case name == "":
			return formatInode(n.Inode)
		case count[name] > 1:
			inode := " " + formatInode(n.Inode)
			return cleanText(name, maxName-len(inode)) + inode
		}
		return name
	}
}

// maxName is the API's limit of a network's name, in characters.
const maxName = 320

// formatNetworkName is the owner's, with the version of IP where each has a network.
func formatNetworkName(n *socket.Network) string {
	if n.Family != socket.AnyFamily {
		return formatOwnerName(&n.Owner) + " " + n.Family.String()
	}
	return formatOwnerName(&n.Owner)
}

// formatOwnerName is empty for an owner without a name.
func formatOwnerName(o *socket.Owner) string {
	switch {
	case o.Kind == socket.OwnerHost:
		return "Host"
	case o.Kind == socket.OwnerPod && o.Pod != "":
		return cleanText(o.Namespace, 63) + "/" + cleanText(o.Pod, 253)
	case o.Kind == socket.OwnerPod && o.PodUID != "":
		return "pod/" + cleanText(o.PodUID, 64)
	case o.Kind == socket.OwnerContainer && o.Container != "":
		return "container/" + cleanText(firstBytes(o.Container, shortIDLength), 64)
	case o.Kind == socket.OwnerProcess && o.Process != "":
		return "process/" + cleanText(o.Process, 64)
	}
	return ""
}

// formatInode is how the kernel spells a network namespace (/proc/PID/ns/net).
func formatInode(inode uint64) string { return fmt.Sprintf("net:[%d]", inode) }

// SummarizePool is p in one line for people. It takes p's own network name.
func SummarizePool(p v1alpha1.Pool) string {
	return cleanText(p.Network+" "+p.Purpose(), 512)
}

func firstBytes(s string, n int) string { return s[:min(n, len(s))] }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// cleanText makes s fit the API: at most limit characters, and none that could move
// a cursor or hide, whoever chose the name of a process.
func cleanText(s string, limit int) string {
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
