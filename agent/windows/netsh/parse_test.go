package netsh

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/internal/ports"
)

// readTestdata returns the output of netsh in each language by file name.
func readTestdata(t testing.TB, what string) map[string][]byte {
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
	for name, text := range readTestdata(t, "dynamicport") {
		t.Run(name, func(t *testing.T) {
			got, err := ParseDynamicPort(text)
			if err != nil {
				t.Fatal(err)
			}
			if want := (ports.Range{First: 49152, Last: 65535}); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestExclusionsAreReadInEveryLanguage(t *testing.T) {
	want := []Exclusion{
		{ports.Range{First: 5357, Last: 5357}, false}, {ports.Range{First: 50000, Last: 50059}, true},
		{ports.Range{First: 61117, Last: 61216}, false},
	}
	for name, text := range readTestdata(t, "excludedportrange") {
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

func TestTheDynamicPortRangeOfLiveMachines(t *testing.T) {
	got, err := ParseDynamicPort([]byte("Protocol tcp Dynamic Port Range IPv4\n---------------------------------\nStart Port      : 1024\nNumber of Ports : 64512\n"))
	if want := (ports.Range{First: 1024, Last: 65535}); err != nil || got != want {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestUnexpectedOutputIsQuotedInTheError(t *testing.T) {
	const title, rule = "Protocol tcp Dynamic Port Range\n", "---------------------------------\n"
	tests := map[string]struct {
		parse func([]byte) error
		text  string
		want  string
	}{
		"Nothing":                        {parseDynamicPortError, "", `0 numbers below the line of dashes, not 2: ""`},
		"A refusal":                      {parseDynamicPortError, "The parameter is incorrect.\r\n", `"The parameter is incorrect."`},
		"Numbers without a rule":         {parseDynamicPortError, "Start : 49152\nNumber : 16384\n", "0 numbers"},
		"One number":                     {parseDynamicPortError, title + rule + "Start Port      : 49152\n", "1 numbers"},
		"Three numbers":                  {parseDynamicPortError, title + rule + "A : 49152\nB : 16384\nC : 7\n", "3 numbers"},
		"A range past the last port":     {parseDynamicPortError, title + rule + "A : 49152\nB : 16385\n", "16385 ports from 49152 are not a valid range"},
		"No ports at all":                {parseDynamicPortError, title + rule + "A : 49152\nB : 0\n", "not a valid range"},
		"A start of 0":                   {parseDynamicPortError, title + rule + "A : 0\nB : 16384\n", "not a valid range"},
		"A huge number":                  {parseDynamicPortError, title + rule + "A : 49152\nB : 99999999999999999999\n", "1 numbers"},
		"UTF-16":                         {parseDynamicPortError, "S\x00t\x00a\x00r\x00t\x00 \x004\x00", "0 numbers"},
		"Exclusions without a rule":      {parseExclusionsError, "Start Port    End Port\n  5357        5357\n", "no line of dashes"},
		"An exclusion with one port":     {parseExclusionsError, rule + "      5357\n", `not a port range: "5357"`},
		"An exclusion that is reversed":  {parseExclusionsError, rule + "   100    99\n", "not a port range"},
		"An exclusion past the end":      {parseExclusionsError, rule + "   65000    65536\n", "not a port range"},
		"An exclusion with a word":       {parseExclusionsError, rule + "   100    200  yes\n", "not a port range"},
		"An exclusion with a 4th column": {parseExclusionsError, rule + "   100    200  *  7\n", "not a port range"},
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

func parseDynamicPortError(text []byte) error { _, err := ParseDynamicPort(text); return err }

func parseExclusionsError(text []byte) error { _, err := parseExclusions(text); return err }

func TestQuotedOutputIsBounded(t *testing.T) {
	if got := QuoteOutput([]byte(strings.Repeat("Öffnen\xff\r\n", 1000))); len(got) > 220 || !strings.HasSuffix(got, `…"`) {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

// FuzzParse checks that the result of any text is valid ports.
func FuzzParse(f *testing.F) {
	for _, what := range []string{"dynamicport", "excludedportrange"} {
		for _, text := range readTestdata(f, what) {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if b, err := ParseDynamicPort(text); err == nil && (b.First < 1 || b.Len() < 1) {
			t.Errorf("a range of %v", b)
		}
		list, err := parseExclusions(text)
		if err != nil && len(list) > 0 {
			t.Errorf("%v and %v", list, err)
		}
		for _, e := range list {
			if e.First > e.Last {
				t.Errorf("an exclusion of %v", e)
			}
		}
		if line := QuoteOutput(text); strings.ContainsAny(line, "\n\r") {
			t.Errorf("more than one line: %s", line)
		}
	})
}
