// Package destination finds what a cluster calls an address: the Service or the pod
// behind it. It asks when it is asked, and watches nothing.
package destination

import (
	"context"
	"net/netip"
	"strings"
)

// Name is a Service or a pod. The zero value is none.
type Name struct{ Kind, Namespace, Name string }

// The kinds of names.
const (
	KindService = "Service"
	KindPod     = "Pod"
)

// String is such as "Service shop/db" or "pod shop/db-0", empty for none.
func (n Name) String() string {
	switch n.Kind {
	case "":
		return ""
	case KindService:
		return KindService + " " + n.Namespace + "/" + n.Name
	}
	return strings.ToLower(n.Kind) + " " + n.Namespace + "/" + n.Name
}

// NoResolver is for those who may not ask.
type NoResolver struct{}

// Name is none.
func (NoResolver) ResolveName(context.Context, string) Name { return Name{} }

// isLookupCandidate says whether an address can be one that the cluster gave away.
func isLookupCandidate(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && ip.Zone() == "" && !ip.IsLoopback() && !ip.IsUnspecified() && !ip.IsLinkLocalUnicast() && !ip.IsMulticast()
}
