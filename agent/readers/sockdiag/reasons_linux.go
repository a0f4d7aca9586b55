package sockdiag

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/socket"
)

// failureReasons gathers why namespaces could not be read: one line for each reason,
// however many namespaces it is true of.
type failureReasons []failureReason

type failureReason struct {
	text         string
	count        int
	exampleInode uint64 // one of the inodes
}

// maxReasons bounds the lines.
const maxReasons = 8

func (r *failureReasons) addFailure(n netns.Namespace, err error) {
	why := err.Error()
	switch {
	case errors.Is(err, fs.ErrPermission):
		why = "can't enter them: needs SYS_ADMIN and SYS_PTRACE"
	case errors.Is(err, unix.EMFILE):
		why = "too many open files: raise the limit (ulimit -n)"
	}
	i := slices.IndexFunc(*r, func(x failureReason) bool { return x.text == why })
	if i < 0 && len(*r) == maxReasons {
		i = maxReasons - 1
		(*r)[i].text = "various reasons, the last one: " + why
	}
	if i < 0 {
		*r = append(*r, failureReason{why, 1, n.Inode})
		return
	}
	(*r)[i].count++
}

func (r failureReasons) listUnobserved() []socket.Unobserved {
	out := make([]socket.Unobserved, 0, len(r))
	for _, x := range r {
		what := fmt.Sprintf("net:[%d]", x.exampleInode)
		if x.count > 1 {
			what = fmt.Sprintf("%d network namespaces, one of them %s", x.count, what)
		}
		out = append(out, socket.Unobserved{Item: what, Reason: x.text})
	}
	return out
}
