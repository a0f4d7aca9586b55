package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Windows is what is known of a Windows node beside its ports. What could not be read
// is absent.
type Windows struct {
	// bootedAt is when Windows was started. Settings that need a restart work when
	// they are older than that.
	// +optional
	BootedAt *metav1.Time `json:"bootedAt,omitempty"`
	// updatePending says that Windows itself waits for a restart, for an update.
	// +optional
	UpdatePending bool `json:"updatePending,omitempty"`
	// freePortBlocks is how many blocks of 64 adjacent free ports the dynamic range has
	// that has the fewest. HNS reserves such blocks; without any, pods and services get
	// no network.
	// +optional
	FreePortBlocks *int32 `json:"freePortBlocks,omitempty"`
	// nonpagedPoolBytes and pagedPoolBytes are the kernel's pools. Sockets live in the
	// first.
	// +optional
	NonpagedPoolBytes *int64 `json:"nonpagedPoolBytes,omitempty"`
	// +optional
	PagedPoolBytes *int64 `json:"pagedPoolBytes,omitempty"`
	// commitPercent is how much of the commit limit is promised to programs, 0 to 100.
	// +optional
	CommitPercent *int32 `json:"commitPercent,omitempty"`
	// handles are the machine's open ones.
	// +optional
	Handles *int64 `json:"handles,omitempty"`
	// ranges are the dynamic port ranges, in the agent's report only.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Ranges []DynamicRange `json:"ranges,omitempty"`
}

// DynamicRange is the ports that Windows chooses from, for one protocol and version
// of IP.
type DynamicRange struct {
	// +kubebuilder:validation:MaxLength=16
	Family Family `json:"family"`
	// +kubebuilder:validation:MaxLength=16
	Protocol Protocol `json:"protocol"`
	First    int32    `json:"first"`
	Last     int32    `json:"last"`
	// source says where the range was read: "netsh", "registry" or "OS default".
	// +kubebuilder:validation:MaxLength=32
	Source string `json:"source"`
	// excluded is how many of its ports are excluded.
	// +optional
	Excluded *int32 `json:"excluded,omitempty"`
	// freeBlocks is how many blocks of 64 adjacent ports are free.
	// +optional
	FreeBlocks *int32 `json:"freeBlocks,omitempty"`
}
