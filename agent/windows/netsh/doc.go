// Package netsh reads and sets, through Windows' netsh.exe, what has no documented API:
// the dynamic port ranges and the ports that are excluded from them. netsh speaks the
// language of the machine, in its OEM code page: what it prints is read by its digits
// and its layout, never by its words.
//
// The texts in testdata are transcribed: the layout from Microsoft's pages and from
// what people posted, the words of languages other than English as far as those went.
// None was captured by us.
package netsh
