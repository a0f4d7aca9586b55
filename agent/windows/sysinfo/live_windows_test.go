package sysinfo

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"portreeve.io/portreeve/agent/socket"
)

// These tests run on Windows and under Wine, whose figures are its own. They show that
// the functions of Windows accept the arguments.

// isWine reports whether this is Wine, which does not count handles.
func isWine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}

func TestMemoryIsPlausible(t *testing.T) {
	m, err := ReadMemory()
	if err != nil {
		t.Fatal(err)
	}
	if m.Physical < 64<<20 || m.Available > m.Physical || m.Commit > m.CommitLimit || m.Processes == 0 {
		t.Errorf("%+v", m)
	}
}

func TestTheBootTimeIsTheSameTwice(t *testing.T) {
	a, err := ReadBootTime()
	if err != nil {
		t.Fatal(err)
	}
	b, err := ReadBootTime()
	if err != nil || !a.Equal(b) || a.After(time.Now()) || a.Before(time.Now().AddDate(-20, 0, 0)) {
		t.Errorf("%v, %v, %v", a, b, err)
	}
}

func TestTheVersionIsSupported(t *testing.T) {
	if v := ReadVersion(); v.Major < 10 || v.Build == 0 {
		t.Error(v)
	}
}

func TestThisProcessHasAnImageAndHandles(t *testing.T) {
	p, err := ReadProcess(uint32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.EqualFold(filepath.Base(p.Path), filepath.Base(self)) || p.Handles == 0 && !isWine() {
		t.Errorf("%+v, want %s", p, self)
	}
	if p, err := ReadProcess(0xfffffff0); err == nil {
		t.Errorf("a process that does not exist: %+v", p)
	}
}

func TestUsageGrows(t *testing.T) {
	before, err := ReadUsage()
	if err != nil {
		t.Fatal(err)
	}
	touched := make([]byte, 64<<20)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		for i := range touched {
			touched[i]++
		}
		after, err := ReadUsage()
		if err != nil {
			t.Fatal(err)
		}
		if after.CPU > before.CPU && after.WorkingSet >= before.WorkingSet+32<<20 {
			if !after.Started.Equal(before.Started) || time.Since(after.Started) > time.Hour || after.CPU > time.Since(after.Started)*time.Duration(runtime.NumCPU()) {
				t.Errorf("%+v, then %+v", before, after)
			}
			return
		}
	}
	t.Errorf("unchanged after a minute of work: %+v", before)
}

func TestParametersAreRead(t *testing.T) {
	if _, err := ReadParameters(); err != nil {
		t.Error(err)
	}
	if _, err := ReadDWORD(`SOFTWARE\Portreeve\None`, "None"); err == nil {
		t.Error("a key that does not exist was read")
	}
	if _, err := ReadDWORD(currentVersion, "CurrentBuildNumber"); err == nil {
		t.Error("a string was read as a number")
	}
	if n, err := ReadDWORD(currentVersion, "NoSuchValue"); n != nil || err != nil {
		t.Errorf("a value that does not exist: %v, %v", n, err)
	}
}

func TestHoldersAreNamed(t *testing.T) {
	s := socket.Sample{PoolDetail: &socket.PoolDetail{Holders: []socket.Holder{{PID: os.Getpid(), Sockets: 3}, {PID: 4}, {PID: 0x7ffffff0}, {}}}}
	NameHolders(&s)
	h := s.PoolDetail.Holders
	if !strings.HasSuffix(h[0].Process, ".exe") || !strings.HasSuffix(h[0].Path, `\`+h[0].Process) || h[0].Sockets != 3 ||
		h[1].Process != "System" || h[2] != (socket.Holder{PID: 0x7ffffff0}) || h[3] != (socket.Holder{}) {
		t.Errorf("%+v", h)
	}
	NameHolders(&socket.Sample{})
}
