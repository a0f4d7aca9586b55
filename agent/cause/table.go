package cause

import (
	"slices"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Kind is where a cause is cured.
type Kind string

// The kinds of remedy.
const (
	BySetting     Kind = "setting"     // of the node or of the pod
	ByApplication Kind = "application" // the one that holds the ports
	ByPeer        Kind = "peer"        // the other side, or the way there
	Elsewhere     Kind = "elsewhere"   // ports are not what is missing
)

// Entry is one line of the table of causes.
type Entry struct {
	Cause   v1alpha1.Cause
	Meaning string
	Remedy  Kind
	// Leak says that the ports are held by sockets that a program, here or at the
	// peer, should have closed.
	Leak bool
}

// IsLeak says whether c is a leak.
func IsLeak(c v1alpha1.Cause) bool {
	return slices.ContainsFunc(Table, func(e Entry) bool { return e.Cause == c && e.Leak })
}

// Table is every cause. docs/causes.md has a section for each.
var Table = []Entry{
	{v1alpha1.CauseTimeWaitChurn, "connections are opened faster than TIME_WAIT drains", ByApplication, false},
	{v1alpha1.CauseReusePossible, "TIME_WAIT fills the pool, and tcp_tw_reuse would free most of it now", BySetting, false},
	{v1alpha1.CauseCloseWaitLeak, "the peer closed and the program does not", ByApplication, true},
	{v1alpha1.CauseEstablishedPool, "open connections themselves fill the pool", ByApplication, false},
	{v1alpha1.CauseIdleConnections, "open connections fill the pool, and most are silent", ByApplication, false},
	{v1alpha1.CauseHalfOpen, "the peers of open connections are gone, and nothing finds out", ByApplication, true},
	{v1alpha1.CauseFewSources, "a wide range is full towards one destination from one source address", ByApplication, false},
	{v1alpha1.CauseSynSentStall, "the peer does not answer, or something scans", ByPeer, false},
	{v1alpha1.CauseFinWaitOrphans, "the program closed and the peer does not", ByPeer, true},
	{v1alpha1.CauseBoundPorts, "programs bind() before they connect()", ByApplication, false},
	{v1alpha1.CauseListenerInRange, "services listen on ports inside the ephemeral range", BySetting, false},
	{v1alpha1.CauseNarrowRange, "the ephemeral range itself is small", BySetting, false},
	{v1alpha1.CauseConntrackFull, "the connection tracking table is full, not the ports", Elsewhere, false},
	{v1alpha1.CauseSnatPool, "the ports of a translated source address run out", Elsewhere, false},
	{v1alpha1.CauseFileDescriptors, "a process or the node has nearly all the files open that it may", Elsewhere, false},
	{v1alpha1.CauseSocketMemory, "the memory or the orphans that TCP may have are nearly used up", Elsewhere, false},
	{v1alpha1.CausePoolNotTight, "ports are not what is missing", Elsewhere, false},
	{v1alpha1.CauseUnknown, "none of the others fits", ByApplication, false},
}
