// Package pods enforces settings in the network namespaces of running and new pods.
// Package plan decides what to do in each of them, as it does for the host's.
//
// The agent enters namespaces through the files that container runtimes create for them
// in /run/netns, which requires SYS_ADMIN and no other privilege. It keeps none of them
// open, so that no namespace outlives its pod because of the agent.
package pods
