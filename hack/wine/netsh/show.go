package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// show formats the output in the configured language, from agent/windows/netsh/testdata.
func (f stateFolder) show(c netshCommand, s *netshState) ([]byte, int) {
	language, err := os.ReadFile(f.filePath("language"))
	if errors.Is(err, fs.ErrNotExist) {
		language = []byte("english")
	}
	text, err := os.ReadFile(f.filePath(filepath.Join("layouts", c.what+"-"+strings.TrimSpace(string(language))+".txt")))
	if err != nil {
		return []byte(err.Error()), 3
	}
	_, protocol, _ := strings.Cut(c.pool, " ")
	text = bytes.Replace(text, []byte("tcp"), []byte(protocol), 1)
	if c.what == "dynamicport" {
		return formatRange(text, s.Dynamic[c.pool]), 0
	}
	return formatExclusions(text, s.Excluded[c.pool]), 0
}

// formatRange returns the example with the numbers of b.
func formatRange(example []byte, b portBlock) []byte {
	example = bytes.Replace(example, []byte("49152"), []byte(strconv.Itoa(b.Start)), 1)
	return bytes.Replace(example, []byte("16384"), []byte(strconv.Itoa(b.Count)), 1)
}

// tableRows matches the rows of the table of exclusions.
var tableRows = regexp.MustCompile(`(?m)(^ *\d+ +\d+ *\*? *\r?\n)+`)

// formatExclusions returns the example with the rows of list.
func formatExclusions(example []byte, list []exclusion) []byte {
	var table bytes.Buffer
	for _, e := range list {
		mark := ""
		if e.Administered {
			mark = "*"
		}
		fmt.Fprintf(&table, "%10d  %10d     %s\r\n", e.First, e.Last, mark)
	}
	return tableRows.ReplaceAllLiteral(example, table.Bytes())
}
