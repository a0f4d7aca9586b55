// Package netns finds the machine's network namespaces, says whom each belongs
// to, and runs code inside one.
//
// cgroup.go and owner.go are pure and serve every reader; the rest is Linux and
// works without BPF.
package netns
