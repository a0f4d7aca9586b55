package socket

import (
	"iter"
	"slices"
)

// Pools returns the pools of all networks of s, unsorted.
func (s *Sample) Pools() iter.Seq[Pool] {
	return func(yield func(Pool) bool) {
		for i := range s.Networks {
			for p := range s.Networks[i].Pools() {
				if !yield(p) {
					return
				}
			}
		}
	}
}

// HostNetwork returns the node's own network, nil if the reader does not know it.
func (s *Sample) HostNetwork() *Network {
	for i := range s.Networks {
		if s.Networks[i].Owner.Kind == OwnerHost {
			return &s.Networks[i]
		}
	}
	return nil
}

// TightestPool returns the first of s's pools by ComparePools; false if there is none. It is
// never Advisory, since every network with pools has one that is not.
func (s *Sample) TightestPool() (Pool, bool) {
	worst := SelectTightest(s.Pools(), 1)
	if len(worst) == 0 {
		return Pool{}, false
	}
	return worst[0], true
}

// SelectTightest returns the first n of pools by ComparePools, sorted; all of them if n is
// negative. It uses memory for n pools only.
func SelectTightest(pools iter.Seq[Pool], n int) []Pool {
	if n < 0 {
		return slices.SortedFunc(pools, ComparePools)
	}
	var worst []Pool
	for p := range pools {
		if len(worst) == n && (n == 0 || ComparePools(worst[n-1], p) <= 0) {
			continue
		}
		at, _ := slices.BinarySearchFunc(worst, p, ComparePools)
		if len(worst) == n {
			worst = worst[:n-1]
		}
		worst = slices.Insert(worst, at, p)
	}
	return worst
}
