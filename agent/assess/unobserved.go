package assess

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/text"
)

// listLimits are the maximum numbers of failures and unobserved items in a status, and of
// characters in a reason.
type listLimits struct{ failures, unobserved, reason int }

func (d Detail) limits() listLimits {
	if d.Verbose {
		return listLimits{failures: 32, unobserved: 32, reason: 512} // the API's limits
	}
	return listLimits{failures: 4, unobserved: 5, reason: 120}
}

// listUnobservedNetworks returns the networks without pools.
func listUnobservedNetworks(ns []socket.Network, name func(*socket.Network) string) []socket.Unobserved {
	var list []socket.Unobserved
	for i := range ns {
		if why := ns[i].UnobservedReason(); why != "" {
			list = append(list, socket.Unobserved{Item: name(&ns[i]), Reason: why})
		}
	}
	return list
}

// listUndetailedNetworks returns an item with the number of networks whose states were not
// read, nil if there are none.
func listUndetailedNetworks(ns []socket.Network) []socket.Unobserved {
	count := 0
	for i := range ns {
		if !ns[i].Detailed && ns[i].UnobservedReason() == "" {
			count++
		}
	}
	if count == 0 {
		return nil
	}
	return []socket.Unobserved{{
		Item:   "states of " + text.FormatPlural(count, "network"),
		Reason: "not read, since these networks use too few ports for any pool to be near exhaustion",
	}}
}

// listUnobserved returns the items that could not be read, without duplicates.
func listUnobserved(s *socket.Sample, f Facts, name func(*socket.Network) string) []socket.Unobserved {
	var list []socket.Unobserved
	seen := map[socket.Unobserved]bool{}
	for _, u := range slices.Concat(s.Unobserved, f.Unobserved, listUnobservedNetworks(s.Networks, name), listUndetailedNetworks(s.Networks)) {
		if !seen[u] {
			seen[u] = true
			list = append(list, u)
		}
	}
	return list
}

// CountUnobserved returns the number of items of s that could not be read. A status does
// not list all of them.
func CountUnobserved(s *socket.Sample, f Facts) int {
	return len(listUnobserved(s, f, NameNetworks(s.Networks)))
}

// limitUnobserved returns the first items, and the number of the others as the last item.
func limitUnobserved(all []socket.Unobserved, r listLimits) []v1alpha1.Unobserved {
	more := len(all) - (r.unobserved - 1)
	if more > 1 {
		all = all[:r.unobserved-1]
	}
	var list []v1alpha1.Unobserved
	for _, u := range all {
		list = append(list, v1alpha1.Unobserved{Item: cleanText(u.Item, 64), Reason: cleanText(u.Reason, r.reason)})
	}
	if more > 1 {
		list = append(list, v1alpha1.Unobserved{Item: text.FormatPlural(more, "more item"), Reason: "list truncated"})
	}
	return list
}

// failureTimeStep is the precision with which failures are ordered by time, so that those of
// the same incident are ordered by their number.
const failureTimeStep = time.Minute

// listFailures returns the most recent failures of s.
func listFailures(s *socket.Sample, limit int, name func(*socket.Network) string) []v1alpha1.Failure {
	sorted := slices.SortedFunc(slices.Values(s.Failures), func(a, b socket.Failure) int {
		return cmp.Or(
			b.LastAt.Truncate(failureTimeStep).Compare(a.LastAt.Truncate(failureTimeStep)),
			cmp.Compare(b.Count, a.Count),
			cmp.Compare(a.Inode, b.Inode),
			a.Destination.Compare(b.Destination),
			cmp.Compare(a.Port, b.Port),
			a.Source.Compare(b.Source),
			cmp.Compare(a.Reason, b.Reason),
		)
	})
	sorted = slices.DeleteFunc(sorted, func(f socket.Failure) bool { return f.Inode == 0 && s.Windows == nil }) // of unknown networks
	var list []v1alpha1.Failure
	for _, f := range sorted[:min(limit, len(sorted))] {
		out := v1alpha1.Failure{
			Network: formatInode(f.Inode), // the network may be gone by now
			Port:    int32(f.Port),
			Reason:  cmp.Or(f.Reason, v1alpha1.FailureAddressNotAvailable),
			Count:   int64(f.Count),
			LastAt:  metav1.Time{Time: f.LastAt},
		}
		if f.Destination.IsValid() {
			out.Destination = f.Destination.String()
		}
		for i := range s.Networks {
			if s.Networks[i].ID() == f.Network() {
				out.Network = name(&s.Networks[i])
			}
		}
		list = append(list, out)
	}
	return list
}
