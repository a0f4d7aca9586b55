// Package netnstest gives a test network namespaces of its own (Linux, root), built on
// package testnet, which makes the sockets in them.
package netnstest
