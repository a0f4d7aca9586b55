// Hollow measures a cluster of 5,000 nodes on one machine: a real API server and the
// real controller, and in this process 5,000 agents with the real agent's writer and
// watch, which send made-up statuses. It writes the table in docs/benchmarks.md. Run it
// with `make bench-scale`.
//
// Each agent impersonates its service account with the node's name in its extra
// claims, as in a token that is bound to its pod, so that RBAC, admission policies and
// the API server's priority and fairness apply. Unlike real agents they need no
// verification of 5,000 tokens, and share a few connections instead of 5,000.
package main
