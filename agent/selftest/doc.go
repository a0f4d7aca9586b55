// Package selftest asks a Windows machine what its documents leave open, with sockets of
// its own on loopback, and without changing a setting. What it finds is a Report, to be
// sent to whoever maintains Portreeve. What judges is pure and has no build tag.
package selftest
