package netsh

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stored is what netsh prints in each language, by file name.
func stored(t testing.TB, what string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", what+"-*.txt"))
	if err != nil || len(names) < 5 {
		t.Fatalf("%d files of %s: %v", len(names), what, err)
	}
	texts := map[string][]byte{}
	for _, name := range names {
		if texts[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return texts
}

func TestADynamicPortRangeIsReadInEveryLanguage(t *testing.T) {
	for name, text := range stored(t, "dynamicport") {
		t.Run(name, func(t *testing.T) {
			got, err := parseDynamicPort(text)
			if err != nil {
				t.Fatal(err)
			}
			if want := (Block{49152, 16384}); got != want || got.Last() != 65535 {
				t.Errorf("got %v to %d, want %v", got, got.Last(), want)
			}
		})
	}
}

func TestExclusionsAreReadInEveryLanguage(t *testing.T) {
	want := []Exclusion{{5357, 5357, false}, {50000, 50059, true}, {61117, 61216, false}}
	for name, text := range stored(t, "excludedportrange") {
		t.Run(name, func(t *testing.T) {
			got, err := parseExclusions(text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestNoExclusionsAreAnEmptyList(t *testing.T) {
	got, err := parseExclusions([]byte("\r\nProtocol tcp Port Exclusion Ranges\r\n\r\nStart Port    End Port      \r\n----------    --------      \r\n\r\n* - Administered port exclusions.\r\n\r\n"))
	if err != nil || got == nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestARangeThatLiveMachinesHaveIsRead(t *testing.T) {
	got, err := parseDynamicPort([]byte("Protocol tcp Dynamic Port Range IPv4\n---------------------------------\nStart Port      : 1024\nNumber of Ports : 64512\n"))
	if want := (Block{1024, 64512}); err != nil || got != want {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestWhatIsNoAnswerIsRefusedWithItsText(t *testing.T) {
	const title, rule = "Protocol tcp Dynamic Port Range\n", "---------------------------------\n"
	tests := map[string]struct {
		parse func([]byte) error
		text  string
		want  string
	}{
		"Nothing":                       {dynamicError, "", `0 numbers below its line of dashes, not 2: ""`},
		"A refusal":                     {dynamicError, "The parameter is incorrect.\r\n", `"The parameter is incorrect."`},
		"Numbers without a rule":        {dynamicError, "Start : 49152\nNumber : 16384\n", "0 numbers"},
		"One number":                    {dynamicError, title + rule + "Start Port      : 49152\n", "1 numbers"},
		"Three numbers":                 {dynamicError, title + rule + "A : 49152\nB : 16384\nC : 7\n", "3 numbers"},
		"A range past the last port":    {dynamicError, title + rule + "A : 49152\nB : 16385\n", "16385 ports from 49152 on are no range"},
		"No ports at all":               {dynamicError, title + rule + "A : 49152\nB : 0\n", "no range"},
		"A start of 0":                  {dynamicError, title + rule + "A : 0\nB : 16384\n", "no range"},
		"A number beyond all":           {dynamicError, title + rule + "A : 49152\nB : 99999999999999999999\n", "1 numbers"},
		"UTF-16":                        {dynamicError, "S\x00t\x00a\x00r\x00t\x00 \x004\x00", "0 numbers"},
		"Exclusions without a rule":     {exclusionError, "Start Port    End Port\n  5357        5357\n", "no line of dashes"},
		"An exclusion with one port":    {exclusionError, rule + "      5357\n", `no ports: "5357"`},
		"An exclusion that is reversed": {exclusionError, rule + "   100    99\n", "no ports"},
		"An exclusion past the end":     {exclusionError, rule + "   65000    65536\n", "no ports"},
		"An exclusion with a word":      {exclusionError, rule + "   100    200  yes\n", "no ports"},
		"An exclusion that goes on":     {exclusionError, rule + "   100    200  *  7\n", "no ports"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := test.parse([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("got %v, want %q in one line", err, test.want)
			}
		})
	}
}

func dynamicError(text []byte) error { _, err := parseDynamicPort(text); return err }

func exclusionError(text []byte) error { _, err := parseExclusions(text); return err }

func TestOneLineIsBounded(t *testing.T) {
	if got := QuoteOutput([]byte(strings.Repeat("Öffnen\xff\r\n", 1000))); len(got) > 220 || !strings.HasSuffix(got, `…"`) {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

// FuzzParse: what is read is ports, whatever the text.
func FuzzParse(f *testing.F) {
	for _, what := range []string{"dynamicport", "excludedportrange"} {
		for _, text := range stored(f, what) {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if b, err := parseDynamicPort(text); err == nil && (b.Start < 1 || b.Count < 1 || b.Last() > 65535) {
			t.Errorf("a range of %v", b)
		}
		list, err := parseExclusions(text)
		if err != nil && len(list) > 0 {
			t.Errorf("%v and %v", list, err)
		}
		for _, e := range list {
			if e.First < 0 || e.First > e.Last || e.Last > 65535 {
				t.Errorf("an exclusion of %v", e)
			}
		}
		if line := QuoteOutput(text); strings.ContainsAny(line, "\n\r") {
			t.Errorf("more than a line: %s", line)
		}
	})
}
