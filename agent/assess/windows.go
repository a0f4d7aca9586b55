package assess

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// Windows is the state of a Windows machine apart from its sockets.
type Windows struct {
	// BootedAt is the time when Windows was started, the zero time if not known.
	BootedAt time.Time
	// UpdatePending reports whether an update of Windows waits for a restart.
	UpdatePending bool
	// Memory is nil if it could not be read.
	Memory *WindowsMemory
}

// WindowsMemory is the memory usage of the machine, in bytes.
type WindowsMemory struct {
	Commit, CommitLimit         uint64
	Physical, Available         uint64
	Paged, Nonpaged             uint64
	Handles, Processes, Threads uint32
}

// NonpagedLimit returns the size of the nonpaged pool above which the machine is impaired:
// three quarters of its RAM. That was the limit of Windows Server 2008 R2; later versions
// have none below the RAM itself ("Memory Limits for Windows and Windows Server Releases").
func (m *WindowsMemory) NonpagedLimit() uint64 { return m.Physical / 4 * 3 }

// listCapabilities returns the capabilities of the reader and of f. Only a verbose status
// has messages for those that work.
func listCapabilities(s *socket.Sample, f Facts) []v1alpha1.Capability {
	all := slices.Concat(s.Capabilities, f.Capabilities)
	var list []v1alpha1.Capability
	for _, c := range all[:min(maxCapabilities, len(all))] {
		out := v1alpha1.Capability{Name: cleanText(c.Name, 64), State: v1alpha1.CapabilityState(c.State)}
		if c.State != socket.CapabilityVerified || f.Detail.Verbose {
			out.Message = cleanText(c.Message, f.Detail.limits().reason)
		}
		list = append(list, out)
	}
	return list
}

// maxCapabilities is the API's maximum number.
const maxCapabilities = 32

func newWindows(s *socket.Sample, f Facts) *v1alpha1.Windows {
	if f.Windows == nil {
		return nil
	}
	out := &v1alpha1.Windows{UpdatePending: f.Windows.UpdatePending, FreePortBlocks: findFewestBlocks(s.Windows)}
	if at := f.Windows.BootedAt; !at.IsZero() {
		out.BootedAt = &metav1.Time{Time: at}
	}
	if m := f.Windows.Memory; m != nil {
		out.NonpagedPoolBytes, out.PagedPoolBytes = new(int64(m.Nonpaged)), new(int64(m.Paged))
		out.CommitPercent = new(computePercent(int64(m.Commit), int64(m.CommitLimit)))
		out.Handles = new(int64(m.Handles))
	}
	if f.Detail.Verbose {
		out.Ranges = listRanges(s.Windows)
	}
	return out
}

// findFewestBlocks returns the number of free blocks of the range with the fewest, nil if
// the exclusions could not be read.
func findFewestBlocks(w *socket.Windows) *int32 {
	var fewest *int32
	if w == nil {
		return nil
	}
	for _, r := range w.Ranges {
		if n := r.FreeBlocks; n != nil && (fewest == nil || int32(*n) < *fewest) {
			fewest = new(int32(*n))
		}
	}
	return fewest
}

func listRanges(w *socket.Windows) []v1alpha1.DynamicRange {
	if w == nil {
		return nil
	}
	var list []v1alpha1.DynamicRange
	for r := range slices.Values(w.Ranges) {
		out := v1alpha1.DynamicRange{
			Family: v1alpha1.Family(r.Family.String()), Protocol: v1alpha1.Protocol(r.Protocol.String()),
			First: int32(r.Range.First), Last: int32(r.Range.Last), Source: string(r.Source),
		}
		if r.Excluded != nil {
			out.Excluded = new(int32(*r.Excluded))
		}
		if r.FreeBlocks != nil {
			out.FreeBlocks = new(int32(*r.FreeBlocks))
		}
		list = append(list, out)
	}
	return list
}
