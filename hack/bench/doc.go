// Bench measures the cost of one sample: CPU time and memory of the project's readers and
// of other tools, in turn, on the same sockets, in separate network namespaces. It also
// measures how long connect() takes by pool utilization. It writes the tables of
// docs/benchmarks.md. Run it as root with `make bench` or `make bench-cliff`.
package main
