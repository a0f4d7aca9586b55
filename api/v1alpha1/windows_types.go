package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Windows describes a Windows node beyond its ports. Values that could not be read are
// omitted.
type Windows struct {
	// bootedAt is the time at which Windows was started. Settings that require a
	// restart are in effect if they were written before that time.
	// +optional
	BootedAt *metav1.Time `json:"bootedAt,omitempty"`
	// updatePending is true if an update of Windows requires a restart.
	// +optional
	UpdatePending bool `json:"updatePending,omitempty"`
	// freePortBlocks is the number of free blocks of 64 adjacent ports in the dynamic
	// range that has the fewest. HNS reserves such blocks; without a free block, new
	// pods and services get no network.
	// +optional
	FreePortBlocks *int32 `json:"freePortBlocks,omitempty"`
	// nonpagedPoolBytes is the size of the nonpaged kernel pool, which sockets use.
	// +optional
	NonpagedPoolBytes *int64 `json:"nonpagedPoolBytes,omitempty"`
	// pagedPoolBytes is the size of the paged kernel pool.
	// +optional
	PagedPoolBytes *int64 `json:"pagedPoolBytes,omitempty"`
	// commitPercent is the commit charge as a percentage of the commit limit, 0 to 100.
	// +optional
	CommitPercent *int32 `json:"commitPercent,omitempty"`
	// handles is the number of open handles on the machine.
	// +optional
	Handles *int64 `json:"handles,omitempty"`
	// ranges lists the dynamic port ranges. It is only present in the agent's report.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Ranges []DynamicRange `json:"ranges,omitempty"`
}

// DynamicRange is a dynamic port range of Windows for one protocol and IP version.
type DynamicRange struct {
	// family is IPv4 or IPv6.
	// +kubebuilder:validation:MaxLength=16
	Family Family `json:"family"`
	// protocol is TCP or UDP.
	// +kubebuilder:validation:MaxLength=16
	Protocol Protocol `json:"protocol"`
	// first is the lowest port.
	First int32 `json:"first"`
	// last is the highest port.
	Last int32 `json:"last"`
	// source is the origin of the range: "netsh", "registry" or "OS default".
	// +kubebuilder:validation:MaxLength=32
	Source string `json:"source"`
	// excluded is the number of excluded ports in the range.
	// +optional
	Excluded *int32 `json:"excluded,omitempty"`
	// freeBlocks is the number of free blocks of 64 adjacent ports.
	// +optional
	FreeBlocks *int32 `json:"freeBlocks,omitempty"`
}
