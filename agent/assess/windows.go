package assess

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// Windows is what is known of a Windows machine beside its sockets.
type Windows struct {
	// BootedAt is when Windows was started, the zero time where that can't be told.
	BootedAt time.Time
	// UpdatePending says that Windows itself waits for a restart.
	UpdatePending bool
	// Memory is nil where it could not be read.
	Memory *WindowsMemory
}

// WindowsMemory is what the machine's memory is used for, in bytes, as package
// winstat has it.
type WindowsMemory struct {
	Commit, CommitLimit         uint64
	Physical, Available         uint64
	Paged, Nonpaged             uint64
	Handles, Processes, Threads uint32
}

// NonpagedLimit is how large the nonpaged pool can get before the machine suffers:
// three quarters of its RAM. That was the limit of Windows Server 2008 R2; later ones
// have none below the RAM itself ("Memory Limits for Windows and Windows Server
// Releases").
func (m *WindowsMemory) NonpagedLimit() uint64 { return m.Physical / 4 * 3 }

// capabilities are the reader's and those of f. An object has no room to say more of
// what works; the agent's report has.
func capabilities(s *socket.Sample, f Facts) []v1alpha1.Capability {
	all := slices.Concat(s.Capabilities, f.Capabilities)
	var list []v1alpha1.Capability
	for _, c := range all[:min(maxCapabilities, len(all))] {
		out := v1alpha1.Capability{Name: clip(c.Name, 64), State: v1alpha1.CapabilityState(c.State)}
		if c.State != socket.CapabilityVerified || f.Detail.Roomy {
			out.Message = clip(c.Message, f.Detail.room().why)
		}
		list = append(list, out)
	}
	return list
}

// maxCapabilities is the API's limit.
const maxCapabilities = 32

func windows(s *socket.Sample, f Facts) *v1alpha1.Windows {
	if f.Windows == nil {
		return nil
	}
	out := &v1alpha1.Windows{UpdatePending: f.Windows.UpdatePending, FreePortBlocks: fewestBlocks(s.Windows)}
	if at := f.Windows.BootedAt; !at.IsZero() {
		out.BootedAt = &metav1.Time{Time: at}
	}
	if m := f.Windows.Memory; m != nil {
		out.NonpagedPoolBytes, out.PagedPoolBytes = new(int64(m.Nonpaged)), new(int64(m.Paged))
		out.CommitPercent = new(percentOf(int64(m.Commit), int64(m.CommitLimit)))
		out.Handles = new(int64(m.Handles))
	}
	if f.Detail.Roomy {
		out.Ranges = ranges(s.Windows)
	}
	return out
}

// fewestBlocks is those of the range with the fewest; nil where no exclusions could
// be read.
func fewestBlocks(w *socket.Windows) *int32 {
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

func ranges(w *socket.Windows) []v1alpha1.DynamicRange {
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
