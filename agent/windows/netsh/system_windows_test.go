package netsh

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// programs contains the behavior of this test binary in place of netsh, by first argument.
var programs = map[string]func(){
	"print":  func() { fmt.Print(strings.Join(os.Args[2:], " ")) },
	"refuse": func() { fmt.Print("Der angeforderte Vorgang\r\nerfordert erh\x94hte Rechte.\r\n"); os.Exit(1) },
	"flood":  func() { fmt.Print(strings.Repeat("x", maxOutput+1)) },
	"hang":   func() { select {} },
	"child": func() { // a child that keeps the pipe open
		c := exec.Command(os.Args[0], "hang")
		c.Stdout = os.Stdout
		if err := c.Run(); err != nil {
			os.Exit(2)
		}
	},
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && programs[os.Args[1]] != nil {
		go func() { time.Sleep(time.Minute); os.Exit(3) }() // in case it is not killed
		programs[os.Args[1]]()
		return
	}
	os.Exit(m.Run())
}

func TestAProgramIsRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ args, out, err string }{
		"Its output is returned":       {"print hello", "hello", ""},
		"An error contains the output": {"refuse", "", `exit status 1: "Der angeforderte Vorgang erfordert erh?hte Rechte."`},
		"Too much output is an error":  {"flood", "", "unexpected output of netsh: more than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := NewRunner(self)(t.Context(), strings.Fields(test.args)...)
			message := ""
			if err != nil {
				message = err.Error()
			}
			if string(out) != test.out || message != test.err {
				t.Errorf("got %.100q, %v", out, err)
			}
		})
	}
}

func TestAProgramThatHangsIsKilledWithItsChildren(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"hang", "child"} {
		t.Run(command, func(t *testing.T) {
			why := errors.New("enough")
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
			defer cancel()
			if _, err := NewRunner(self)(ctx, command); !errors.Is(err, why) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAProgramThatIsMissingIsAnError(t *testing.T) {
	if _, err := NewRunner(`C:\no\netsh.exe`)(t.Context(), "int"); err == nil {
		t.Error("a missing program is not an error")
	}
}
