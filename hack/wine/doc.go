// Package wine tests the Windows build under Debian's Wine, each test with a separate Windows
// in a separate network namespace (run.sh; make test-wine). Wine runs the real
// portreeve-agent.exe, and implements the registry and Windows' socket tables.
//
// The tests show that the agent calls Windows as documented, and how it evaluates the
// results. They do not show how Windows assigns ports: Wine's sockets are Linux's and follow
// Linux's rules, whatever netsh and the registry contain, and netsh is a fake
// (hack/wine/netsh). Times and memory sizes are Wine's.
package wine
