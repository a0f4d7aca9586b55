package main

import (
	"os"
	"slices"
	"strings"
	"time"
)

// faults contains the faulty behavior by name.
var faults = map[string]func() ([]byte, int){
	"refuse": func() ([]byte, int) {
		return []byte("The requested operation requires elevation (Run as administrator).\r\n\r\n"), 1
	},
	"empty":   func() ([]byte, int) { return nil, 0 },
	"garbage": func() ([]byte, int) { return []byte("\xff\xfe\x00 65536 : -1\r\n: : 99999999999999999999\r\n"), 0 },
	"ignore":  func() ([]byte, int) { return []byte("Ok.\r\n\r\n"), 0 }, // without effect
	"slow": func() ([]byte, int) {
		time.Sleep(10 * time.Minute) // longer than any timeout
		return nil, 0
	},
}

// findFault returns the configured fault for args, or nil.
func (f stateFolder) findFault(args []string) func() ([]byte, int) {
	text, _ := os.ReadFile(f.filePath("fault")) // usually the file does not exist
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		isMissing := func(w string) bool { return !slices.Contains(args, w) }
		if len(words) == 0 || slices.ContainsFunc(words[:len(words)-1], isMissing) {
			continue
		}
		name := words[len(words)-1]
		if faults[name] == nil {
			return func() ([]byte, int) { return []byte("unknown fault " + name), 3 }
		}
		return faults[name]
	}
	return nil
}
