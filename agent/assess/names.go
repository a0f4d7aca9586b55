package assess

import (
	"fmt"
	"unicode"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/text"
)

// shortIDLength is the length of the short form of a container ID.
const shortIDLength = 12

// NameNetworks returns a function that returns the names of the networks of one sample.
// Names are distinct: if two networks would have the same name (a pod can have two, and a
// process "a" has the name of pod "a" in namespace "process"), their inodes are added.
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

// maxName is the API's maximum length of a network's name, in characters.
const maxName = 320

// formatNetworkName returns the owner's name, with the IP version if each version has a
// network of its own.
func formatNetworkName(n *socket.Network) string {
	if n.Owner == (socket.Owner{Kind: socket.OwnerPod}) && n.Inode == 0 { // in a dump
		return "Pod"
	}
	if n.Family != socket.AnyFamily {
		return formatOwnerName(&n.Owner) + " " + n.Family.String()
	}
	return formatOwnerName(&n.Owner)
}

// formatOwnerName returns the empty string for an owner without a name.
func formatOwnerName(o *socket.Owner) string {
	switch {
	case o.Kind == socket.OwnerHost:
		return "Host"
	case o.Kind == socket.OwnerUnknown:
		return "Network"
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

// formatInode returns a network namespace as the kernel formats it (/proc/PID/ns/net).
func formatInode(inode uint64) string { return fmt.Sprintf("net:[%d]", inode) }

// SummarizePool returns a one-line description of p, with p's own network name.
func SummarizePool(p v1alpha1.Pool) string {
	return cleanText(p.Network+" "+p.Purpose(), 512)
}

func firstBytes(s string, n int) string { return s[:min(n, len(s))] }

// cleanText returns s with at most limit characters, all of them printable: the name of a
// process can contain anything.
func cleanText(s string, limit int) string {
	return text.Truncate(text.MakePrintable(s, unicode.ReplacementChar), limit)
}
