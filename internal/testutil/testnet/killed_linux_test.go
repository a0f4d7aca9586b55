package testnet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const victimVariable = "TESTNET_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(victimVariable) != "" {
		runVictim()
	}
	os.Exit(m.Run())
}

// runVictim creates a namespace with a command in it and a veth end outside, so that
// the namespace's removal is visible, and waits to be killed.
func runVictim() {
	s, err := New()
	sleep := exec.Command("sleep", "1000")
	if err == nil {
		err = errors.Join(s.Start(sleep), addVethPair("veth0", s.fd))
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(sleep.Process.Pid)
	_, _ = io.ReadAll(os.Stdin)
}

func TestAKilledProcessLeavesNoNamespaceAndNoCommand(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the test makes a network namespace")
	}
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), victimVariable+"=1")
	in, err1 := c.StdinPipe()
	out, err2 := c.StdoutPipe()
	if err := errors.Join(err1, err2, s.Start(c)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	line, _ := bufio.NewReader(out).ReadString('\n')
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the victim printed %q", line)
	}
	if !hasVeth(s) || !isRunning(pid) {
		t.Fatal("the victim's namespace and command should be there")
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(waitLimit); hasVeth(s) || isRunning(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v: namespace there %v, command there %v", waitLimit, hasVeth(s), isRunning(pid))
		}
	}
}

func hasVeth(s *Namespace) (there bool) {
	s.Do(func() {
		_, err := readLinkIndex("veth0")
		there = !errors.Is(err, unix.ENODEV)
	})
	return there
}

// isRunning is false for a zombie, which its new parent has not yet waited for.
func isRunning(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, after, _ := bytes.Cut(stat, []byte(") "))
	return err == nil && !bytes.HasPrefix(after, []byte("Z"))
}
