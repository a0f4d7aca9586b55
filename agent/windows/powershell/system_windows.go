package powershell

import (
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/windows"

	"portreeve.io/portreeve/agent/windows/netsh"
)

// runTimeout limits a run. Listing thousands of bound ports takes seconds.
const runTimeout = time.Minute

// NewSystemClient returns a Client of the system's powershell.exe, regardless of PATH. A
// run takes at least a second, and is killed after a minute.
func NewSystemClient() (Client, error) {
	folder, err := windows.GetSystemDirectory()
	if err != nil {
		return Client{}, fmt.Errorf("find the system folder: %w", err)
	}
	return Client{Run: netsh.NewLimitedRunner(filepath.Join(folder, `WindowsPowerShell\v1.0\powershell.exe`), runTimeout)}, nil
}
