// Package dump reads what netstat, ss, TCPView, Get-NetTCPConnection or
// /proc/net/tcp printed of one host's sockets, and gives the sample that a reader of
// that host would give. It is pure: bytes in, sample out, in memory that depends on
// ports and destinations and hardly on lines.
package dump
