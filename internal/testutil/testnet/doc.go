// Package testnet creates network namespaces, and TCP sockets in a given state in them,
// for tests, benchmarks, the demo and the load generator. It needs Linux and root.
//
// A Namespace exists through a file descriptor and one parked thread, so that nothing
// is left when its process is killed. Functions such as Connect work in the
// namespace of the calling thread: call them inside Namespace.Do. A socket belongs to
// the namespace that it was created in, whichever thread uses it afterwards.
package testnet
