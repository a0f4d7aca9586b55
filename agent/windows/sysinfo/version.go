package sysinfo

import "fmt"

// Version is a version of Windows. Server 2019 is 10.0.17763, Server 2022 10.0.20348 and
// Server 2025 10.0.26100.
type Version struct {
	Major, Minor, Build uint32
	// Revision is the update build revision ("UBR"), or nil if it can't be read.
	Revision *uint32
}

func (v Version) String() string {
	s := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Build)
	if v.Revision != nil {
		s += fmt.Sprintf(".%d", *v.Revision)
	}
	return s
}
