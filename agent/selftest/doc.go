// Package selftest tests behavior of Windows that Microsoft's documents leave open. It opens
// its own sockets on loopback and changes no settings. Its result is a Report for the
// maintainers of Portreeve. The evaluation is pure and has no build tag.
package selftest
