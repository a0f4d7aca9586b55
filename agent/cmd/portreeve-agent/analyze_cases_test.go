package main

import (
	"bufio"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// analyzeCase is a line of testdata/analyze/expect.tsv: a paste from a public report, rebuilt,
// and what an expert would answer.
type analyzeCase struct {
	file, options string
	want          []string
	unwanted      string
}

func readAnalyzeCases(t *testing.T) (cases []analyzeCase) {
	t.Helper()
	table, err := os.ReadFile("testdata/analyze/expect.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			t.Fatalf("%q has %d columns, want 4", line, len(f))
		}
		options := strings.Replace(f[1], "@", "--os windows --range 49152-49406", 1)
		cases = append(cases, analyzeCase{f[0], options, strings.Split(f[2], " && "), f[3]})
	}
	return cases
}

func TestAnalyzeAnswersAsAnExpertWould(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range readAnalyzeCases(t) {
		tested[c.file+".gz"] = true
		t.Run(c.file+" "+c.options, func(t *testing.T) {
			got := runAnalyze(t, map[string]string{"dump": readPaste(t, c.file)}, append(strings.Fields(c.options), "dump")...)
			text := strings.Join(strings.Fields(got.stdout+got.stderr), " ")
			for _, want := range c.want {
				if !regexp.MustCompile(want).MatchString(text) {
					t.Errorf("no %q in\n%s", want, got.stdout+got.stderr)
				}
			}
			if c.unwanted != "" && regexp.MustCompile(c.unwanted).MatchString(text) {
				t.Errorf("unwanted %q in\n%s", c.unwanted, got.stdout+got.stderr)
			}
		})
	}
	files, err := filepath.Glob("testdata/analyze/*/*.gz")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		if name := strings.TrimPrefix(file, "testdata/analyze/"); !tested[name] {
			t.Errorf("%s is not in expect.tsv", name)
		}
	}
}

// readPaste returns the text of a file of testdata/analyze.
func readPaste(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata/analyze", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
