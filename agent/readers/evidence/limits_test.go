package evidence

import "testing"

func TestFileLimits(t *testing.T) {
	const head = "Limit                     Soft Limit           Hard Limit           Units     \nMax cpu time              unlimited            unlimited            seconds   \n"
	tests := map[string]struct {
		file   string
		want   int
		failed bool
	}{
		"a soft limit":      {head + "Max open files            1024                 524288               files     \n", 1024, false},
		"no limit":          {head + "Max open files            unlimited            unlimited            files     \n", 0, false},
		"no line":           {head, 0, true},
		"no number":         {head + "Max open files            many\n", 0, true},
		"a truncated line":  {head + "Max open files", 0, true},
		"an empty file":     {"", 0, true},
		"an enormous limit": {"Max open files 18446744073709551615 1 files\n", 1<<63 - 1, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := parseFileLimit([]byte(test.file)); got != test.want || (err != nil) != test.failed {
				t.Errorf("%d, %v, want %d", got, err, test.want)
			}
		})
	}
}

func TestSocketLinks(t *testing.T) {
	for target, want := range map[string]uint32{
		"socket:[4711]": 4711, "socket:[]": 0, "socket:[x]": 0, "pipe:[4711]": 0, "socket:[4711": 0, "": 0, "/dev/null": 0, "socket:[99999999999]": 0,
	} {
		if got, ok := parseSocketLink(target); ok != (want > 0) || ok && got != want {
			t.Errorf("%q: %d, %v", target, got, ok)
		}
	}
}
