// Command netsh is a fake of Windows' netsh.exe, of which Wine only has a stub. It shows and
// stores the dynamic port ranges and excluded ports in the output format of
// agent/windows/netsh/testdata, as far as agent/windows/netsh uses it. It has no effect on
// sockets. Tests with it show how Portreeve runs netsh, parses its output and verifies its
// writes, but not how Windows behaves.
//
// Its folder is C:\netsh, to which tests write from Linux:
//
//	layouts\      the texts of agent/windows/netsh/testdata
//	language      english (the default if the file is missing), german, japanese, …
//	fault         lines "WORD… FAULT", such as "ipv6 set refuse", for command lines that
//	              contain all of these words; see faults
//	state.json    the ranges and exclusions; if missing, Windows' defaults
//	log           all command lines, appended
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	out, code := stateFolder(`C:\netsh`).run(os.Args[1:])
	_, _ = os.Stdout.Write(out)
	os.Exit(code)
}

// stateFolder is the folder with all files of the fake.
type stateFolder string

// run runs one command and returns its output and exit code.
func (f stateFolder) run(args []string) ([]byte, int) {
	if err := f.logCommand(args); err != nil {
		return []byte(err.Error()), 3
	}
	c, ok := parseCommand(args)
	if !ok {
		return []byte(badSyntax + "\r\n"), 1
	}
	if fault := f.findFault(args); fault != nil {
		return fault()
	}
	s, err := f.loadState()
	if err != nil {
		return []byte(err.Error()), 3
	}
	if c.verb == "show" {
		return f.show(c, s)
	}
	if refusal := s.applyCommand(c); refusal != "" {
		return []byte(refusal + "\r\n\r\n"), 1
	}
	if err := f.saveState(s); err != nil {
		return []byte(err.Error()), 3
	}
	return []byte("Ok.\r\n\r\n"), 0
}

func (f stateFolder) logCommand(args []string) error {
	l, err := os.OpenFile(f.filePath("log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(l, strings.Join(args, " "))
	return errors.Join(err, l.Close())
}

func (f stateFolder) loadState() (*netshState, error) {
	text, err := os.ReadFile(f.filePath("state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return newDefaultState(), nil
	}
	if err != nil {
		return nil, err
	}
	s := &netshState{}
	return s, json.Unmarshal(text, s)
}

// saveState replaces the file atomically, because others may read it at the same time.
func (f stateFolder) saveState(s *netshState) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	own := f.filePath(fmt.Sprintf("state.%d", os.Getpid()))
	if err := os.WriteFile(own, text, 0o644); err != nil {
		return err
	}
	return os.Rename(own, f.filePath("state.json"))
}

func (f stateFolder) filePath(name string) string { return filepath.Join(string(f), name) }
