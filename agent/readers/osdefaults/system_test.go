package osdefaults

import "testing"

func TestTheSystemFollowsTheVersionOfWindows(t *testing.T) {
	for v, want := range map[[2]uint32]string{
		{4, 0}: "windows-2000", {5, 0}: "windows-2000", {5, 1}: "windows-xp", {5, 2}: "windows-2003",
		{6, 0}: Windows, {6, 3}: Windows, {10, 0}: Windows,
	} {
		if got := FindWindows(v[0], v[1]).Name; got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func TestTheRangeFollowsMaxUserPort(t *testing.T) {
	tests := map[string]struct {
		system string
		n      int
		want   string
	}{
		"Unset on 2003":                        {"windows-2003", 0, "1025-5000"},
		"Unset on 2008+":                       {Windows, 0, "49152-65535"},
		"The last port on XP":                  {"windows-xp", 65534, "1025-65534"},
		"A number of ports on 2008+":           {"windows", 1000, "49152-50151"},
		"The last port on Windows 10":          {Windows, 65534, "1024-65534"},
		"The lowest last port on Windows 10":   {Windows, 16385, "1024-16385"},
		"Too high on Windows 10":               {Windows, 65535, "65535 is invalid: on windows-2008+ it is the number of ports from 49152, 255 to 16384, or the last port from 1024, up to 65534"},
		"Too low on 2003":                      {"windows-2003", 4999, "4999 is invalid: on windows-2003 it is the last port, 5000 to 65534"},
		"An unknown system is taken for Linux": {"plan9", 5000, "5000 is not supported: linux has no MaxUserPort"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := FindSystem(test.system).ComputeRange(test.n)
			got := r.String()
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
