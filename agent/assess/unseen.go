package assess

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// room is how many failures and unseen things a status has, and how many
// characters of why.
type room struct{ failures, unseen, why int }

func (d Detail) room() room {
	if d.Roomy {
		return room{failures: 32, unseen: 32, why: 512} // the API's limits
	}
	return room{failures: 4, unseen: 5, why: 120}
}

// blind is the networks of which nothing can be said.
func blind(ns []socket.Network, name func(*socket.Network) string) []socket.Unobserved {
	var list []socket.Unobserved
	for i := range ns {
		if why := ns[i].Blind(); why != "" {
			list = append(list, socket.Unobserved{Item: name(&ns[i]), Reason: why})
		}
	}
	return list
}

// shallow is how many networks have no states because they were not read in
// detail.
func shallow(ns []socket.Network) []socket.Unobserved {
	count := 0
	for i := range ns {
		if !ns[i].Detailed && ns[i].Blind() == "" {
			count++
		}
	}
	if count == 0 {
		return nil
	}
	return []socket.Unobserved{{
		Item:   "states of " + plural(count, "network"),
		Reason: "too few ports held for any pool to be near its end, so not read in detail",
	}}
}

// things is what could not be read, each thing once.
func things(s *socket.Sample, f Facts, name func(*socket.Network) string) []socket.Unobserved {
	var list []socket.Unobserved
	seen := map[socket.Unobserved]bool{}
	for _, u := range slices.Concat(s.Unobserved, f.Unobserved, blind(s.Networks, name), shallow(s.Networks)) {
		if !seen[u] {
			seen[u] = true
			list = append(list, u)
		}
	}
	return list
}

// CountUnobserved is how many things of s could not be read; its Status has no room
// for all of them.
func CountUnobserved(s *socket.Sample, f Facts) int { return len(things(s, f, Names(s.Networks))) }

// unseenList counts the things that it has no room for.
func unseenList(all []socket.Unobserved, r room) []v1alpha1.Unobserved {
	more := len(all) - (r.unseen - 1)
	if more > 1 {
		all = all[:r.unseen-1]
	}
	var list []v1alpha1.Unobserved
	for _, u := range all {
		list = append(list, v1alpha1.Unobserved{Item: clip(u.Item, 64), Reason: clip(u.Reason, r.why)})
	}
	if more > 1 {
		list = append(list, v1alpha1.Unobserved{Item: plural(more, "more thing"), Reason: "this list has room for no more"})
	}
	return list
}

// failures is the most frequent failures of s.
func failures(s *socket.Sample, limit int, name func(*socket.Network) string) []v1alpha1.Failure {
	sorted := slices.SortedFunc(slices.Values(s.Failures), func(a, b socket.Failure) int {
		return cmp.Or(
			cmp.Compare(b.Count, a.Count),
			cmp.Compare(a.Inode, b.Inode),
			a.Destination.Compare(b.Destination),
			cmp.Compare(a.Port, b.Port),
			a.Source.Compare(b.Source),
			cmp.Compare(a.Reason, b.Reason),
		)
	})
	var list []v1alpha1.Failure
	for _, f := range sorted[:min(limit, len(sorted))] {
		out := v1alpha1.Failure{
			Network: inodeName(f.Inode), // the network may be gone by now
			Port:    int32(f.Port),
			Reason:  cmp.Or(f.Reason, v1alpha1.FailureAddressNotAvailable),
			Count:   int64(f.Count),
			LastAt:  metav1.Time{Time: f.LastAt},
		}
		if f.Destination.IsValid() {
			out.Destination = f.Destination.String()
		}
		for i := range s.Networks {
			if s.Networks[i].Inode == f.Inode {
				out.Network = name(&s.Networks[i])
			}
		}
		list = append(list, out)
	}
	return list
}
