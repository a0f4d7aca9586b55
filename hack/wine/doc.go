// Package wine runs the Windows build under Debian's Wine, each test with a Windows of
// its own in a network namespace of its own (run.sh; make test-wine). Wine runs the real
// portreeve-agent.exe, and has a registry and Windows' socket tables of its own make.
//
// What is proved is that our program calls Windows as documented, and what it makes of
// the answers. What isn't: Wine's sockets are Linux's and follow Linux's rules, whatever
// netsh and the registry say; netsh is a stand-in of ours (hack/wine/netsh). Figures of
// time and memory are Wine's.
package wine
