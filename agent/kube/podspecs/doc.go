// Package podspecs watches the facts about this node's pods that tuning needs: their
// labels, the ports that they will listen on, and the sysctls that they set themselves.
//
// The API server sends whole pods; unneeded fields are dropped while decoding. RBAC can't
// limit the watch to one node, so only agents that tune pods start it.
package podspecs
