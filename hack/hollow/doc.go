// Hollow measures a cluster of 5,000 nodes on one machine: a real API server and the
// real controller, and in this process 5,000 agents that have the real agent's writer
// and watch, and nothing to measure. It writes its table of docs/benchmarks.md. Run
// it by `make bench-scale`.
//
// Each agent impersonates its service account with the node's name in its extra
// claims, as a token that is bound to its pod has it, so that rights, admission
// policies and the API server's fairness apply. What is missing of real agents is the
// verification of 5,000 tokens, and their 5,000 connections: these share a few.
package main
