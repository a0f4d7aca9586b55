package dump

import (
	"testing"

	"portreeve.io/portreeve/internal/ports"
)

func TestTheRangeFollowsTheSystem(t *testing.T) {
	tests := map[string]struct {
		options Options
		format  Format
		want    string // SYSTEM FIRST-LAST, or the error
	}{
		"Linux by its format":                               {Options{}, SS, "linux 32768-60999"},
		"Windows by its format":                             {Options{}, WindowsNetstat, "windows-2008+ 49152-65535"},
		"TCPView is a Windows tool":                         {Options{}, TCPView, "windows-2008+ 49152-65535"},
		"The short name of Windows 2008+":                   {Options{System: "windows"}, SS, "windows-2008+ 49152-65535"},
		"Windows 2000":                                      {Options{System: "windows-2000"}, "", "windows-2000 1025-5000"},
		"Windows XP":                                        {Options{System: "windows-xp"}, "", "windows-xp 1025-5000"},
		"Windows 2003":                                      {Options{System: "windows-2003"}, "", "windows-2003 1025-5000"},
		"Windows 2003 with the update":                      {Options{System: "windows-2003-kb951746"}, "", "windows-2003-kb951746 49152-65535"},
		"MaxUserPort was the last port":                     {Options{System: "windows-xp", MaxUserPort: 65534}, "", "windows-xp 1025-65534"},
		"The lowest last port":                              {Options{System: "windows-2000", MaxUserPort: 5000}, "", "windows-2000 1025-5000"},
		"The update, and MaxUserPort set":                   {Options{System: "windows-2003-kb951746", MaxUserPort: 20000}, "", "windows-2003-kb951746 1025-20000"},
		"MaxUserPort is a number of ports":                  {Options{System: "windows-2008+", MaxUserPort: 1000}, "", "windows-2008+ 49152-50151"},
		"The highest number":                                {Options{MaxUserPort: 16384}, WindowsNetstat, "windows-2008+ 49152-65535"},
		"The lowest number":                                 {Options{MaxUserPort: 255}, WindowsNetstat, "windows-2008+ 49152-49406"},
		"A given range takes precedence":                    {Options{Range: ports.Range{First: 1024, Last: 65535}}, SS, "linux 1024-65535"},
		"Below the valid last ports":                        {Options{System: "windows-2003", MaxUserPort: 4999}, "", "--max-user-port 4999 is invalid: on windows-2003 it is the last port, 5000 to 65534; set any other range with --range"},
		"Above the valid last ports":                        {Options{System: "windows-2003", MaxUserPort: 65535}, "", "--max-user-port 65535 is invalid: on windows-2003 it is the last port, 5000 to 65534; set any other range with --range"},
		"Too few ports":                                     {Options{MaxUserPort: 254}, WindowsNetstat, "--max-user-port 254 is invalid: on windows-2008+ it is the number of ports from 49152, 255 to 16384, or the last port from 1024, up to 65534; set any other range with --range"},
		"Too many ports":                                    {Options{MaxUserPort: 65535}, WindowsNetstat, "--max-user-port 65535 is invalid: on windows-2008+ it is the number of ports from 49152, 255 to 16384, or the last port from 1024, up to 65534; set any other range with --range"},
		"The last port on Windows 10":                       {Options{MaxUserPort: 65534}, WindowsNetstat, "windows-2008+ 1024-65534"},
		"Linux, detected by its format, has no MaxUserPort": {Options{MaxUserPort: 5000}, SS, "--max-user-port 5000 is not supported: linux has no MaxUserPort; set any other range with --range"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := test.options.resolveSystem(test.format)
			r, err := test.options.resolveRanges(s, &pastedFacts{})
			got := s.Name + " " + r.tcp.String()
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
