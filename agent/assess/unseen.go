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
func blind(ns []socket.Network, name func(*socket.Network) string) []socket.Unseen {
	var list []socket.Unseen
	for i := range ns {
		if why := ns[i].Blind(); why != "" {
			list = append(list, socket.Unseen{What: name(&ns[i]), Why: why})
		}
	}
	return list
}

// unseenList says each thing once, and counts those that it has no room for.
func unseenList(all []socket.Unseen, r room) []v1alpha1.Unseen {
	var list []v1alpha1.Unseen
	seen := make(map[socket.Unseen]bool, len(all))
	for _, u := range all {
		if !seen[u] {
			seen[u] = true
			list = append(list, v1alpha1.Unseen{What: clip(u.What, 64), Why: clip(u.Why, r.why)})
		}
	}
	if more := len(list) - (r.unseen - 1); more > 1 {
		list = append(list[:r.unseen-1], v1alpha1.Unseen{
			What: plural(more, "more thing"),
			Why:  "this list has room for no more",
		})
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
		)
	})
	var list []v1alpha1.Failure
	for _, f := range sorted[:min(limit, len(sorted))] {
		out := v1alpha1.Failure{
			Network: inodeName(f.Inode), // the network may be gone by now
			Port:    int32(f.Port),
			Reason:  "EADDRNOTAVAIL",
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
