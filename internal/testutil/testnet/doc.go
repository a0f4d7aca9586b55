// Package testnet makes network namespaces and puts TCP sockets of a wanted state
// into them: for tests, benchmarks, the demo and the load generator. Linux, root.
//
// A Space lives through a file descriptor and one parked thread, so that nothing
// is left when its process is killed. Functions such as Connect work in the
// namespace of the calling thread: call them inside Space.Do. A socket stays in
// the namespace that it was made in, whichever thread uses it afterwards.
package testnet
