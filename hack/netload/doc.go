// Netload opens TCP sockets in given states, and optionally opens and closes connections
// at a steady rate, in the network namespace that it is started in. It refuses to run in
// the machine's own namespace:
//
//	unshare --net sh -c 'ip link set lo up; netload -tw 10000 -est 5000'
//
// It prints "ready" when all sockets are open, and ends on SIGTERM, on Ctrl-C, at the end
// of a piped standard input, after -hold, and with its parent.
package main
