// Package netns finds the machine's network namespaces, determines their owners, and
// runs code inside one.
//
// cgroup.go and owner.go are pure and used by every reader. The rest is for Linux, and
// works without BPF.
package netns
