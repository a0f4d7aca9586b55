package cause

import (
	"slices"

	"portreeve.io/portreeve/api/v1alpha1"
)

// RemedyKind is where a cause is cured.
type RemedyKind string

// The kinds of remedy.
const (
	RemedySetting     RemedyKind = "setting"     // of the node or of the pod
	RemedyApplication RemedyKind = "application" // the one that holds the ports
	RemedyPeer        RemedyKind = "peer"        // the other side, or the way there
	RemedyElsewhere   RemedyKind = "elsewhere"   // ports are not what is missing
)

// CauseInfo is one line of the table of causes.
type CauseInfo struct {
	Cause   v1alpha1.Cause
	Meaning string
	Remedy  RemedyKind
	// IsLeak says that the ports are held by sockets that a program, here or at the
	// peer, should have closed.
	IsLeak bool
}

// IsLeak says whether c is a leak.
func IsLeak(c v1alpha1.Cause) bool {
	return slices.ContainsFunc(Causes, func(e CauseInfo) bool { return e.Cause == c && e.IsLeak })
}

// Causes is every cause. docs/causes.md has a section for each.
var Causes = []CauseInfo{
	{v1alpha1.CauseTimeWaitChurn, "connections are opened faster than TIME_WAIT drains", RemedyApplication, false},
	{v1alpha1.CauseReusePossible, "TIME_WAIT fills the pool, and tcp_tw_reuse would free most of it now", RemedySetting, false},
	{v1alpha1.CauseCloseWaitLeak, "the peer closed and the program does not", RemedyApplication, true},
	{v1alpha1.CauseEstablishedPool, "open connections themselves fill the pool", RemedyApplication, false},
	{v1alpha1.CauseIdleConnections, "open connections fill the pool, and most are silent", RemedyApplication, false},
	{v1alpha1.CauseHalfOpen, "the peers of open connections are gone, and nothing finds out", RemedyApplication, true},
	{v1alpha1.CauseFewSources, "a wide range is full towards one destination from one source address", RemedyApplication, false},
	{v1alpha1.CauseSynSentStall, "the peer does not answer, or something scans", RemedyPeer, false},
	{v1alpha1.CauseFinWaitOrphans, "the program closed and the peer does not", RemedyPeer, true},
	{v1alpha1.CauseBoundPorts, "programs bind() before they connect()", RemedyApplication, false},
	{v1alpha1.CauseListenerInRange, "services listen on ports inside the ephemeral range", RemedySetting, false},
	{v1alpha1.CauseNarrowRange, "the ephemeral range itself is small", RemedySetting, false},
	{v1alpha1.CauseConntrackFull, "the connection tracking table is full, not the ports", RemedyElsewhere, false},
	{v1alpha1.CauseSnatPool, "the ports of a translated source address run out", RemedyElsewhere, false},
	{v1alpha1.CauseFileDescriptors, "a process or the node has nearly all the files open that it may", RemedyElsewhere, false},
	{v1alpha1.CauseSocketMemory, "the memory or the orphans that TCP may have are nearly used up", RemedyElsewhere, false},
	{v1alpha1.CausePoolNotTight, "ports are not what is missing", RemedyElsewhere, false},
	{v1alpha1.CauseUnknown, "none of the others fits", RemedyApplication, false},
}
