// Package cluster holds what builds and runs a real Kubernetes on one machine:
// its programs come from Go modules, at the versions that go.mod names.
package cluster
