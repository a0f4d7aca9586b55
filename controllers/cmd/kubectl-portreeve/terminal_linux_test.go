package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// openTerminal opens a pseudo-terminal with that many columns (pty(7)). The program uses
// slave, and the test reads its output from master.
func openTerminal(t *testing.T, columns uint16) (slave, master *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("needs a pseudo-terminal:", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	return slave, master
}

func TestColoursAreUsedOnTerminals(t *testing.T) {
	tests := map[string]struct {
		env  map[string]string
		want bool
	}{
		"A terminal":                 {map[string]string{"TERM": "xterm"}, true},
		"NO_COLOR":                   {map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, false},
		"NO_COLOR that is empty":     {map[string]string{"TERM": "xterm", "NO_COLOR": ""}, true},
		"A terminal without colours": {map[string]string{"TERM": "dumb"}, false},
		"COLUMNS is not its width":   {map[string]string{"TERM": "xterm", "COLUMNS": "500"}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, _, _ := newTestApp(test.env)
			slave, _ := openTerminal(t, 97)
			a.Out = slave
			o, height := a.detectOptions(addOutputFlags(&cobra.Command{}), proseWidth)
			if o.Colour != test.want || o.Width != 97 || height != 24 {
				t.Errorf("%+v, %d lines", o.Options, height)
			}
		})
	}
}

func TestOutputFitsTheTerminal(t *testing.T) {
	_, config := createScenario(t)
	slave, master := openTerminal(t, 64)
	a, _, errOut := newTestApp(map[string]string{"LANG": "C.UTF-8", "TERM": "xterm"})
	a.Out = slave
	if code := a.run(t.Context(), []string{"top", "--kubeconfig", config}); code != 0 {
		t.Fatal(errOut)
	}
	lines := bufio.NewScanner(master)
	for i := 0; i < 5 && lines.Scan(); i++ { // the counts, the heading, three nodes
		line := strings.TrimSuffix(lines.Text(), "\r")
		if i > 1 && !strings.Contains(line, "\x1b[3") {
			t.Errorf("no colour: %q", line)
		}
		for _, code := range []string{"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"} {
			line = strings.ReplaceAll(line, code, "")
		}
		if n := len([]rune(line)); n > 64 || n == 0 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}
