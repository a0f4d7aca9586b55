// Package kernelstat reads the kernel's own counters of problems with ports and
// connections: conntrack, TIME_WAIT and listen queue overflows, orphans, TCP memory and
// open files. A counter that cannot be read is reported as unobserved, never as 0.
package kernelstat
