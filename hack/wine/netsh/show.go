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

// show prints in the chosen language, by what agent/windows/netsh/testdata has for it.
func (f folder) show(c command, s *state) ([]byte, int) {
	language, err := os.ReadFile(f.path("language"))
	if errors.Is(err, fs.ErrNotExist) {
		language = []byte("english")
	}
	text, err := os.ReadFile(f.path(filepath.Join("layouts", c.what+"-"+strings.TrimSpace(string(language))+".txt")))
	if err != nil {
		return []byte(err.Error()), 3
	}
	_, protocol, _ := strings.Cut(c.pool, " ")
	text = bytes.Replace(text, []byte("tcp"), []byte(protocol), 1)
	if c.what == "dynamicport" {
		return dynamic(text, s.Dynamic[c.pool]), 0
	}
	return excluded(text, s.Excluded[c.pool]), 0
}

// dynamic is the example with the numbers of b.
func dynamic(example []byte, b block) []byte {
	example = bytes.Replace(example, []byte("49152"), []byte(strconv.Itoa(b.Start)), 1)
	return bytes.Replace(example, []byte("16384"), []byte(strconv.Itoa(b.Count)), 1)
}

// rows are those of the table of exclusions.
var rows = regexp.MustCompile(`(?m)(^ *\d+ +\d+ *\*? *\r?\n)+`)

// excluded is the example with the rows of list.
func excluded(example []byte, list []exclusion) []byte {
	var table bytes.Buffer
	for _, e := range list {
		mark := ""
		if e.Administered {
			mark = "*"
		}
		fmt.Fprintf(&table, "%10d  %10d     %s\r\n", e.First, e.Last, mark)
	}
	return rows.ReplaceAllLiteral(example, table.Bytes())
}
