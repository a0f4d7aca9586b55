// Package sysctl reads and writes the sysctls of a procfs, and reads the ports that
// something listens on in their network.
package sysctl
