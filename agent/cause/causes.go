package cause

import (
	"slices"

	"portreeve.io/portreeve/api/v1alpha1"
)

// RemedyKind is the place where a cause is remedied.
type RemedyKind string

// The kinds of remedy.
const (
	RemedySetting     RemedyKind = "setting"     // of the node or of the pod
	RemedyApplication RemedyKind = "application" // that uses the ports
	RemedyPeer        RemedyKind = "peer"        // or the network path to it
	RemedyElsewhere   RemedyKind = "elsewhere"   // ports are not the bottleneck
)

// Info describes a cause.
type Info struct {
	Cause   v1alpha1.Cause
	Meaning string
	Remedy  RemedyKind
	// IsLeak reports whether the ports are used by sockets that a program, on this machine
	// or at the peer, should have closed.
	IsLeak bool
}

// IsLeak reports whether c is a leak.
func IsLeak(c v1alpha1.Cause) bool {
	return slices.ContainsFunc(Causes, func(info Info) bool { return info.Cause == c && info.IsLeak })
}

// Causes lists every cause. docs/causes.md has a section for each.
var Causes = []Info{
	{Cause: v1alpha1.CauseTimeWaitChurn, Remedy: RemedyApplication, Meaning: "connections are opened faster than TIME_WAIT drains"},
	{Cause: v1alpha1.CauseReusePossible, Remedy: RemedySetting, Meaning: "TIME_WAIT fills the pool, and tcp_tw_reuse would free most of it now"},
	{Cause: v1alpha1.CauseCloseWaitLeak, Remedy: RemedyApplication, IsLeak: true, Meaning: "the peer closed and the program does not"},
	{Cause: v1alpha1.CauseEstablishedPool, Remedy: RemedyApplication, Meaning: "open connections fill the pool"},
	{Cause: v1alpha1.CauseIdleConnections, Remedy: RemedyApplication, Meaning: "open connections fill the pool, and most are idle"},
	{Cause: v1alpha1.CauseHalfOpen, Remedy: RemedyApplication, IsLeak: true, Meaning: "the peers of open connections are gone, which is not detected"},
	{Cause: v1alpha1.CauseFewSources, Remedy: RemedyApplication, Meaning: "a wide range is exhausted for one destination and one source address"},
	{Cause: v1alpha1.CauseSynSentStall, Remedy: RemedyPeer, Meaning: "the peer does not answer, or a program scans the network"},
	{Cause: v1alpha1.CauseFinWaitOrphans, Remedy: RemedyPeer, IsLeak: true, Meaning: "the program closed and the peer does not"},
	{Cause: v1alpha1.CauseBoundPorts, Remedy: RemedyApplication, Meaning: "programs bind() before they connect()"},
	{Cause: v1alpha1.CauseListenerInRange, Remedy: RemedySetting, Meaning: "services listen on ports inside the ephemeral range"},
	{Cause: v1alpha1.CauseNarrowRange, Remedy: RemedySetting, Meaning: "the ephemeral range is small"},
	{Cause: v1alpha1.CauseConntrackFull, Remedy: RemedyElsewhere, Meaning: "the connection tracking table is full, not the ports"},
	{Cause: v1alpha1.CauseSnatPool, Remedy: RemedyElsewhere, Meaning: "the ports of a translated source address are exhausted"},
	{Cause: v1alpha1.CauseFileDescriptors, Remedy: RemedyElsewhere, Meaning: "a process or the node is close to its limit of open files"},
	{Cause: v1alpha1.CauseSocketMemory, Remedy: RemedyElsewhere, Meaning: "TCP is close to its limit of memory or of orphans"},
	{Cause: v1alpha1.CauseAcceptQueueFull, Remedy: RemedyApplication, Meaning: "a program does not accept its connections fast enough"},
	{Cause: v1alpha1.CauseTimeWaitLimit, Remedy: RemedySetting, Meaning: "TIME_WAIT has reached tcp_max_tw_buckets"},
	{Cause: v1alpha1.CauseNeighbourTableFull, Remedy: RemedySetting, Meaning: "the neighbour table (ARP, NDP) is full"},
	{Cause: v1alpha1.CausePrivilegedPorts, Remedy: RemedyElsewhere, Meaning: "the privileged source ports of NFS and rsh are used up"},
	{Cause: v1alpha1.CauseAddressNotAvailable, Remedy: RemedyElsewhere, Meaning: "calls fail with EADDRNOTAVAIL although ports are free"},
	{Cause: v1alpha1.CausePortRangeCollision, Remedy: RemedySetting, Meaning: "the ephemeral range covers ports that others own"},
	{Cause: v1alpha1.CausePoolNotTight, Remedy: RemedyElsewhere, Meaning: "ports are not the bottleneck"},
	{Cause: v1alpha1.CauseUnknown, Remedy: RemedyApplication, Meaning: "none of the others matches"},
}
