// Package podspecs tells what tuning has to know of this node's pods: their labels,
// the ports that they will listen on, and the sysctls that they set themselves.
//
// It watches the pods of one node. The API server sends them whole; what is not
// needed is dropped while they are decoded. RBAC can't limit that watch to a node,
// so it is for agents only that tune pods.
package podspecs
