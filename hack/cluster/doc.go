// Package cluster contains the scripts that build and run a real Kubernetes cluster on
// one machine. Its programs are built from Go modules at the versions in go.mod.
package cluster
