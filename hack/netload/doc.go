// Netload makes TCP sockets of wanted states, and churn, in the network namespace
// that it is started in, and holds them. It refuses the machine's own namespace:
//
//	unshare --net sh -c 'ip link set lo up; netload -tw 10000 -est 5000'
//
// It prints "ready" when all sockets stand, and ends on SIGTERM, Ctrl-C, the end of
// a piped standard input, -hold, and with its parent.
package main
