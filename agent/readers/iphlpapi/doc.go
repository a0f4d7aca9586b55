// Package iphlpapi reads the sockets of a Windows machine from the IP Helper API, and its
// port ranges through netsh. Windows does not show how a port was acquired. Package
// portusage evaluates its tables nevertheless.
//
// Code that does not need Windows has no build tag: the decoders (decode.go), the networks
// built from the rows (builder.go), and the ranges (ranges.go).
package iphlpapi
