// Package dump parses the sockets of one host as printed by netstat, ss, TCPView,
// Get-NetTCPConnection or /proc/net/tcp, and returns the sample that a reader on that host
// would return. It is pure: its input is bytes and its output is a sample. Its memory
// depends on the number of ports and destinations and hardly on the number of lines.
package dump
