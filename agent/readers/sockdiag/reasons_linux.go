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

// failureReasons collects why namespaces could not be read, one entry per reason.
type failureReasons []failureReason

type failureReason struct {
	text         string
	count        int
	exampleInode uint64 // of one of the namespaces
}

// maxReasons is the maximum number of entries.
const maxReasons = 8

func (r *failureReasons) addFailure(n netns.Namespace, err error) {
	text := err.Error()
	switch {
	case errors.Is(err, fs.ErrPermission):
		text = "permission denied; entering a namespace needs SYS_ADMIN and SYS_PTRACE"
	case errors.Is(err, unix.EMFILE):
		text = "too many open files; raise the limit (ulimit -n)"
	}
	i := slices.IndexFunc(*r, func(x failureReason) bool { return x.text == text })
	if i < 0 && len(*r) == maxReasons {
		i = maxReasons - 1
		(*r)[i].text = "various reasons, most recently: " + text
	}
	if i < 0 {
		*r = append(*r, failureReason{text: text, count: 1, exampleInode: n.Inode})
		return
	}
	(*r)[i].count++
}

func (r failureReasons) listUnobserved() []socket.Unobserved {
	out := make([]socket.Unobserved, 0, len(r))
	for _, x := range r {
		item := fmt.Sprintf("net:[%d]", x.exampleInode)
		if x.count > 1 {
			item = fmt.Sprintf("%d network namespaces, for example %s", x.count, item)
		}
		out = append(out, socket.Unobserved{Item: item, Reason: x.text})
	}
	return out
}
