// Package kernelstat reads the kernel's own counters that tell of trouble with
// ports and connections: conntrack, TIME_WAIT and listen queue overflows,
// orphans, TCP memory and open files. What cannot be read is named, never 0.
package kernelstat
