// Package destination resolves an address in the cluster to its Service or pod. It looks
// names up on demand, without watches.
package destination

import (
	"context"
	"net/netip"
	"strings"
)

// Name is the name of a Service or a pod. The zero value means that there is none.
type Name struct{ Kind, Namespace, Name string }

// The kinds of names.
const (
	KindService = "Service"
	KindPod     = "Pod"
)

// String returns for example "Service shop/db" or "pod shop/db-0", and an empty string for
// the zero value.
func (n Name) String() string {
	switch n.Kind {
	case "":
		return ""
	case KindService:
		return KindService + " " + n.Namespace + "/" + n.Name
	}
	return strings.ToLower(n.Kind) + " " + n.Namespace + "/" + n.Name
}

// NoResolver resolves no names, for controllers that must not look them up.
type NoResolver struct{}

// ResolveName returns the zero value.
func (NoResolver) ResolveName(context.Context, string) Name { return Name{} }

// isLookupCandidate reports whether the address can belong to a Service or pod.
func isLookupCandidate(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && ip.Zone() == "" && !ip.IsLoopback() && !ip.IsUnspecified() && !ip.IsLinkLocalUnicast() && !ip.IsMulticast()
}
