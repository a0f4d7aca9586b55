package part

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DescribeMachine describes where, when and by which command figures were measured,
// without a full stop at the end.
func (p Part) DescribeMachine() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		panic(err) // it can only fail for a bad pointer
	}
	cpu := "unknown CPU"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, ok := strings.Cut(string(b), "model name\t: "); ok {
			cpu, _, _ = strings.Cut(after, "\n")
		}
	}
	return fmt.Sprintf("%s, %d CPUs, Linux %s %s, %s, %#q", cpu, runtime.NumCPU(),
		unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]), time.Now().UTC().Format(time.DateOnly), p.Command)
}
