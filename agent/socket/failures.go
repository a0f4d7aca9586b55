package socket

import "time"

// NetworkID identifies a network: an inode is reused at once after its network is gone.
type NetworkID struct{ Inode, Cookie uint64 }

// ID returns the network's identity.
func (n *Network) ID() NetworkID { return NetworkID{n.Inode, n.Cookie} }

// Network returns the identity of the network in which the calls failed.
func (f *Failure) Network() NetworkID { return NetworkID{f.Inode, f.Cookie} }

// FailureHistory has the failures of the previous sample, by the failure without its count
// and time. The zero value is ready to use.
type FailureHistory map[Failure]uint64

// CountNew returns the calls that failed since the previous sample, and remembers the counts
// of this one. A smaller count than before means that the reader has begun again.
func (h *FailureHistory) CountNew(now []Failure) []Failure {
	previous := *h
	*h = make(FailureHistory, len(now))
	var failed []Failure
	for _, f := range now {
		key := f
		key.Count, key.LastAt = 0, time.Time{}
		(*h)[key] = f.Count
		if last := previous[key]; last <= f.Count {
			f.Count -= last
		}
		if f.Count > 0 {
			failed = append(failed, f)
		}
	}
	return failed
}
