package procfs

import (
	"fmt"

	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/readers/portusage"
	"portreeve.io/portreeve/agent/socket"
)

// sampleNotes collects what a sample could not observe.
type sampleNotes struct {
	assumed int // networks with an assumed range
	failed  int // networks that could not be read
	// failedInode and failure are an example of failed.
	failedInode uint64
	failure     error
	outside     []socket.Unobserved
}

// maxOutside limits the networks that are named because their ports are outside of the range.
const maxOutside = 4

// minOutsidePorts is the number of client ports outside the assumed range from which on it is
// unlikely that programs chose them by bind().
const minOutsidePorts = 16

func (s *sampleNotes) addError(n netns.Namespace, err error) {
	if s.failed++; s.failed == 1 {
		s.failedInode, s.failure = n.Inode, err
	}
}

func (s *sampleNotes) addNetwork(n netns.Namespace, network *socket.Network, summary portusage.Summary) {
	if n.IsOwn {
		return
	}
	s.assumed++
	if summary.Clients.Outside >= minOutsidePorts && len(s.outside) < maxOutside {
		s.outside = append(s.outside, socket.Unobserved{
			Item: fmt.Sprintf("port range of the network of %s", describeOwner(&network.Owner)),
			Reason: fmt.Sprintf("%d clients use ports from %d to %d, outside the assumed range %v: it has another one",
				summary.Clients.Outside, summary.Clients.First, summary.Clients.Last, network.Settings.Range),
		})
	}
}

func describeOwner(o *socket.Owner) string {
	switch {
	case o.Kind == socket.OwnerHost:
		return "the host"
	case o.PodUID != "":
		return "pod " + o.PodUID
	}
	return fmt.Sprintf("%s (PID %d)", o.Process, o.PID)
}

func (s *sampleNotes) listUnobserved() []socket.Unobserved {
	list := s.outside
	if s.assumed > 0 {
		list = append(list, socket.Unobserved{
			Item:   fmt.Sprintf("port ranges of %d networks", s.assumed),
			Reason: fmt.Sprintf("visible only inside each network; the kernel's default %v is assumed", assumedSettings.Range),
		})
	}
	if s.failed > 0 {
		list = append(list, socket.Unobserved{
			Item:   fmt.Sprintf("%d networks, for example net:[%d]", s.failed, s.failedInode),
			Reason: s.failure.Error(),
		})
	}
	return list
}
