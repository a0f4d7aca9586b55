// Package pods holds settings inside the network namespaces of pods, running and new
// ones. What is to be done in each of them package plan decides, as for the host's.
//
// Namespaces are reached through the files that container runtimes keep for them in
// /run/netns, which needs SYS_ADMIN and no other privilege. None is kept open, so that
// none outlives its pod because of the agent.
package pods
