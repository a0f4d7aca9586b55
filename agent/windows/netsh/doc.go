// Package netsh reads and sets, through Windows' netsh.exe, values without a documented API:
// the dynamic port ranges and the excluded ports. netsh prints the language of the machine
// in its OEM code page, so its output is parsed by digits and layout, never by words.
//
// The texts in testdata were not captured, but transcribed: the layout from Microsoft's pages
// and users' posts, and the words of other languages as far as those contain them.
package netsh
