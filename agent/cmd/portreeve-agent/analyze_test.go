package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/api/v1alpha1"
)

// newWindowsDump returns netstat -ano of a host that has n sockets in CLOSE_WAIT.
func newWindowsDump(n int) string {
	var b strings.Builder
	b.WriteString("\r\nActive Connections\r\n\r\n  Proto  Local Address          Foreign Address        State           PID\r\n")
	b.WriteString("  TCP    0.0.0.0:135            0.0.0.0:0              LISTENING       1032\r\n")
	for i := range n {
		fmt.Fprintf(&b, "  TCP    10.0.0.5:%-13d 10.0.0.9:1433          CLOSE_WAIT      4711\r\n", 49152+i)
	}
	return b.String()
}

// runAnalyze runs the command in a folder with these files; the file "-" is its standard
// input.
func runAnalyze(t *testing.T, files map[string]string, args ...string) commandResult {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if name == stdin {
			continue
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		written := time.Date(2026, 11, 21, 2, 59, 58, 0, time.UTC)
		if err := os.Chtimes(name, written, written); err != nil {
			t.Fatal(err)
		}
	}
	var stdout, stderr bytes.Buffer
	a := app{stdin: strings.NewReader(files[stdin]), stdout: &stdout, stderr: &stderr,
		getenv: func(k string) string { return map[string]string{"LANG": "C.UTF-8"}[k] }}
	code := a.runArgs(t.Context(), append([]string{"analyze"}, args...))
	return commandResult{code, stdout.String(), stderr.String()}
}

func TestAnalyzePrintsTheStatusOfAnObject(t *testing.T) {
	for _, format := range []string{"json", "yaml"} {
		t.Run(format, func(t *testing.T) {
			got := runAnalyze(t, map[string]string{"Dump.TXT": newWindowsDump(9000)}, "-o", format, "Dump.TXT")
			var p v1alpha1.PortPressure
			if err := yaml.UnmarshalStrict([]byte(got.stdout), &p); err != nil || got.code != 0 || got.stderr != "" {
				t.Fatalf("%v %+v", err, got)
			}
			s := p.Status
			have := []any{p.Kind, p.Name, s.Level, *s.UsedPercent, s.Tightest.Summary, *s.Tightest.UsedMax, s.Platform.OS,
				s.Reader.Exactness, s.ObservedAt.UTC().String(), s.UDP == nil}
			want := []any{"PortPressure", "dump.txt", v1alpha1.LevelWarning, int32(54), "Network → 10.0.0.9:1433", int32(9000), "windows",
				v1alpha1.ExactnessAssumed, "2026-11-21 02:59:58 +0000 UTC", true}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnalyzePrintsATable(t *testing.T) {
	got := runAnalyze(t, map[string]string{stdin: newWindowsDump(9000) + "  TCP    10.0.0.5:6"}, "-")
	for _, want := range []string{
		"WARNING 54 %  Network → 10.0.0.9:1433  dump, assumed\n",
		"stdin · windows 2008+ · 1 network · ",
		"9000/16384", "CLOSE_WAIT 9000",
		"Not observed\n", `1 of 9006 lines: line 9006: the last line is truncated: "TCP 10.0.0.5:6"`,
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in\n%s", want, got.stdout)
		}
	}
	if got.code != 0 || got.stderr != "" || strings.Contains(got.stdout, "UDP ports") {
		t.Errorf("exit code %d, %s\n%s", got.code, got.stderr, got.stdout)
	}
}

func TestAnalyzePrintsAnObjectForEachFile(t *testing.T) {
	files := map[string]string{"a": newWindowsDump(1), "b": "ESTAB 0 0 10.0.0.4:40000 10.0.0.9:5432\n"}
	got := runAnalyze(t, files, "-o", "json", "a", "b")
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	if got.code != 0 || len(lines) != 2 {
		t.Fatalf("%+v", got)
	}
	for i, want := range []string{"a windows", "b linux"} {
		var p v1alpha1.PortPressure
		if err := json.Unmarshal([]byte(lines[i]), &p); err != nil || p.Name+" "+p.Status.Platform.OS != want {
			t.Errorf("%s %s, %v", p.Name, p.Status.Platform.OS, err)
		}
	}
	if got := runAnalyze(t, files, "-o", "yaml", "a", "b"); strings.Count(got.stdout, "---\n") != 2 {
		t.Errorf("%s", got.stdout)
	}
}

func TestAnalyzeUsesTheGivenRange(t *testing.T) {
	for args, want := range map[string]string{
		"":                                  "windows-2008+ (a guess; set another with --os) with the range 49152-65535",
		"--os windows":                      "windows-2008+ with the range 49152-65535",
		"--os windows-xp":                   "windows-xp with the range 1025-5000",
		"--max-user-port 1000":              "windows-2008+ (a guess; set another with --os) with the range 49152-50151",
		"--os linux":                        "linux with the range 32768-60999",
		"--range 1024-65535":                "with the range 1024-65535",
		"--os windows-2003 --range 1-65535": "windows-2003 with the range 1-65535",
	} {
		got := runAnalyze(t, map[string]string{"a": newWindowsDump(1)}, append(strings.Fields(args), "-o", "json", "a")...)
		var p v1alpha1.PortPressure
		if err := json.Unmarshal([]byte(got.stdout), &p); err != nil || !strings.Contains(p.Status.Reader.Message, want) {
			t.Errorf("%s: no %q in %q %v", args, want, p.Status.Reader.Message, err)
		}
	}
}

func TestAnalyzeReportsErrorsInOneLine(t *testing.T) {
	files := map[string]string{"good": newWindowsDump(1), "binary": "\x7fELF\x02\x00\x00", "poem": "Wer reitet\n", stdin: ""}
	tests := map[string]struct {
		args string
		code int
		want string
	}{
		"no file":                       {"", exitUsage, "analyze needs a file, or - for standard input"},
		"an unknown system":             {"--os windows-95 good", exitUsage, `--os "windows-95": must be linux, windows-2000, windows-xp, windows-2003, windows-2003-kb951746, windows-2008+ or windows`},
		"an invalid range":              {"--range 5-4 good", exitUsage, `--range "5-4": must be a range of ports from 1 to 65535, such as 32768-60999`},
		"an invalid MaxUserPort":        {"--max-user-port many good", exitUsage, `--max-user-port "many": must be a number from 255 to 65534`},
		"MaxUserPort of another system": {"--os windows-xp --max-user-port 1000 good", exitUsage, "--max-user-port 1000 is invalid: on windows-xp it is the last port, 5000 to 65534"},
		"MaxUserPort of Linux":          {"--os linux --max-user-port 60000 good", exitUsage, "--max-user-port 60000 is not supported: linux has no MaxUserPort; set any other range with --range"},
		"MaxUserPort and a range":       {"--max-user-port 5000 --range 1-5 good", exitUsage, "--max-user-port 5000 and --range 1-5: only one of them can set the range"},
		"an unknown state":              {"--state waiting good", exitUsage, `--state "waiting": must be a TCP state such as time-wait, or udp`},
		"an unknown network":            {"--network vm good", exitUsage, `--network "vm": must be host or pod`},
		"an unknown output":             {"-o xml good", exitUsage, `--output "xml": must be table, yaml or json`},
		"a missing file":                {"missing", exitFailure, "missing: no such file or directory"},
		"a folder":                      {".", exitFailure, ".: is a folder"},
		"a binary file":                 {"binary", exitFailure, "binary: line 1: binary data, not the text output of netstat, ss or TCPView"},
		"a file without sockets":        {"poem", exitFailure, "poem: no line contains a socket: 1 lines, none of them from netstat, ss, lsof, TCPView, Get-NetTCPConnection or /proc/net/tcp"},
		"an empty standard input":       {"-", exitFailure, "standard input: no line contains a socket: 0 lines, none of them from netstat, ss, lsof, TCPView, Get-NetTCPConnection or /proc/net/tcp"},
		"two of three files":            {"binary good poem", exitFailure, "binary: line 1: binary data, not the text output of netstat, ss or TCPView; poem: no line"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := runAnalyze(t, files, strings.Fields(test.args)...)
			if got.code != test.code || !strings.HasPrefix(got.stderr, "portreeve-agent: "+test.want) || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("exit code %d: %s", got.code, got.stderr)
			}
			if want := strings.Contains(test.args, "binary good"); (got.stdout != "") != want {
				t.Errorf("printed %q", got.stdout)
			}
		})
	}
}

func TestAnalyzeHelpHasTheRangesByOS(t *testing.T) {
	got := runAnalyze(t, nil, "--help")
	for _, want := range []string{
		"windows-2003            1025-5000    MaxUserPort is the last port, 5000 to 65534",
		"windows-2008+           49152-65535  MaxUserPort is the number of ports, 255 to 16384, or the last port",
		"linux                   32768-60999\n", "--max-user-port N", "ss -tanp", "--state STATE", "--network name", filepath.Join("docs", "analyze.md"),
	} {
		if got.code != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in\n%s", want, got.stdout)
		}
	}
}
