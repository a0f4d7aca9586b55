package journal_test

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"

	"portreeve.io/portreeve/agent/tuning/journal"
)

func TestTheFolderIsForAdministratorsOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "of", "state")
	d, err := journal.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	sd, err := windows.GetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		t.Fatal(err)
	}
	// Wine makes a user of the administrators.
	if text := sd.String(); strings.Contains(text, ";BU)") || strings.Contains(text, ";WD)") || !strings.Contains(text, "(A;OICI;FA;;;SY)") {
		t.Errorf("its access list is %s", text)
	}
}
