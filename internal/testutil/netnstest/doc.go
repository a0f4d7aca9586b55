// Package netnstest creates network namespaces (package testnet) for a test, which are
// removed with it. It needs Linux and root.
package netnstest
