// Package iphlpapi reads the sockets of a Windows machine from the IP Helper API, and
// the ranges that its ports come from through netsh. Windows doesn't tell how a port was
// taken: see package tally for what follows from its tables all the same.
//
// What needs no Windows has no build tag: the decoders (decode.go), what is made of the
// rows (node.go), and of the ranges (ranges.go).
package iphlpapi
