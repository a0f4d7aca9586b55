package dump

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"portreeve.io/portreeve/internal/tcpstate"
)

// BenchmarkAMillionLines compares CPU time with that of wc -l and of an awk that
// counts states, on the same file.
func BenchmarkAMillionLines(b *testing.B) {
	var text bytes.Buffer
	largeDumps["a client of 40 destinations that fills its pools"](&text, 1_000_000)
	file := filepath.Join(b.TempDir(), "dump")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	var d Dump
	b.SetBytes(int64(text.Len()))
	before := readCPUTime(b)
	for b.Loop() {
		f, err := os.Open(file)
		if err != nil {
			b.Fatal(err)
		}
		if d, err = Read(f, Options{}); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
	each := (readCPUTime(b) - before) / time.Duration(b.N)
	if n := d.Sample.Networks[0].States[tcpstate.TimeWait]; n != 1_000_000 {
		b.Fatalf("%d sockets", n)
	}
	b.ReportMetric(each.Seconds()*1000, "cpu-ms")
	for name, command := range map[string][]string{
		"x-wc": {"wc", "-l", file}, "x-awk": {"awk", "{n[$1]++} END {for (s in n) print s, n[s]}", file},
	} {
		cmd := exec.Command(command[0], command[1:]...)
		if err := cmd.Run(); err != nil {
			b.Logf("%s: %v", name, err)
			continue
		}
		b.ReportMetric(float64(each)/float64(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()), name)
	}
}

func readCPUTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
