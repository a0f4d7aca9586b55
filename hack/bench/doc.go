// Bench measures what one sample costs: CPU time and memory of the project's readers
// and of other tools, in turn, on the same sockets, in network namespaces of its own.
// And it measures what a full pool costs those who use it: the time of connect() by the
// pool's fill. It writes the tables of docs/benchmarks.md. Run it as root, by `make bench`.
package main
