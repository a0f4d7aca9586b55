package winsys

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

// These run on Windows, and under Wine, whose figures are its own: what they prove is
// that the calls take what they are given.

// wine says that this is Wine, which counts no handles.
func wine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}

func TestMemoryIsThatOfAMachine(t *testing.T) {
	m, err := ReadMemory()
	if err != nil {
		t.Fatal(err)
	}
	if m.Physical < 64<<20 || m.Available > m.Physical || m.Commit > m.CommitLimit || m.Processes == 0 {
		t.Errorf("%+v", m)
	}
}

func TestTheBootTimeIsTheSameTwice(t *testing.T) {
	a, err := BootTime()
	if err != nil {
		t.Fatal(err)
	}
	b, err := BootTime()
	if err != nil || !a.Equal(b) || a.After(time.Now()) || a.Before(time.Now().AddDate(-20, 0, 0)) {
		t.Errorf("%v, %v, %v", a, b, err)
	}
}

func TestTheVersionIsOneThatWeRunOn(t *testing.T) {
	if v := ReadVersion(); v.Major < 10 || v.Build == 0 {
		t.Error(v)
	}
}

func TestTheOwnProcessHasAnImageAndHandles(t *testing.T) {
	p, err := ReadProcess(uint32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.EqualFold(filepath.Base(p.Path), filepath.Base(self)) || p.Handles == 0 && !wine() {
		t.Errorf("%+v, want %s", p, self)
	}
	if p, err := ReadProcess(0xfffffff0); err == nil {
		t.Errorf("a process that is none: %+v", p)
	}
}

func TestTheOwnUsageGrows(t *testing.T) {
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
	t.Errorf("a minute of work has changed nothing: %+v", before)
}

func TestParametersAreRead(t *testing.T) {
	if _, err := ReadParameters(); err != nil {
		t.Error(err)
	}
	if _, err := dword(`SOFTWARE\Portreeve\None`, "None"); err == nil {
		t.Error("a key that isn't there was read")
	}
	if _, err := dword(currentVersion, "CurrentBuildNumber"); err == nil {
		t.Error("a string was read as a number")
	}
	if n, err := dword(currentVersion, "NoSuchValue"); n != nil || err != nil {
		t.Errorf("a value that isn't there: %v, %v", n, err)
	}
}

func TestTheLogsAnswerOrSayWhyNot(t *testing.T) {
	for name, open := range map[string]func() (*Logs, error){
		"watch": WatchLogs,
		"since": func() (*Logs, error) { return LogsSince(time.Now().Add(-time.Hour)) },
	} {
		logs, err := open()
		if err != nil { // Wine has no event log
			if !strings.Contains(err.Error(), "Evt") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		defer logs.Close()
		if tally, err := logs.Read(); err != nil || tally.Failures() == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAWatchCompletesASample(t *testing.T) {
	for _, back := range []bool{false, true} {
		w := NewWatch(back)
		s := socket.Sample{
			Networks:   []socket.Network{{Inode: 7, Owner: socket.Owner{Kind: socket.OwnerHost}}},
			PoolDetail: &socket.PoolDetail{Holders: []socket.Holder{{PID: os.Getpid(), Sockets: 3}, {PID: 4}, {PID: 0x7ffffff0}, {}}},
		}
		w.Add(&s)
		w.Close()
		h := s.PoolDetail.Holders
		if !strings.HasSuffix(h[0].Process, ".exe") || !strings.HasSuffix(h[0].Path, `\`+h[0].Process) || h[0].Sockets != 3 ||
			h[1].Process != "System" || h[2] != (socket.Holder{PID: 0x7ffffff0}) || h[3] != (socket.Holder{}) {
			t.Errorf("%+v", h)
		}
		if len(s.Capabilities) == 0 || (s.Failures == nil) != (len(s.Unobserved) == 1) {
			t.Errorf("%+v, failures %v, unseen %v", s.Capabilities, s.Failures, s.Unobserved)
		}
	}
}
