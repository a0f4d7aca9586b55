package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/readers/dump"
	"portreeve.io/portreeve/agent/readers/ephemeral"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
)

// analyzer is the command that judges dumps of other machines.
type analyzer struct {
	*app
	output      choiceFlag
	pools       poolCountFlag
	system      choiceFlag
	maxUserPort maxUserPortFlag
	ephemeral   portRangeFlag
}

const analyzeHelp = `Print the PortPressure that dumps of a host's sockets show, one for each file.

Understood are netstat of Windows (-an, -n, -ano, -anob, -anq) in any language, TCPView,
Get-NetTCPConnection, and on Linux ss (-tan, -tanp, -tuanp), netstat (-ant, -antp) and
/proc/net/tcp and tcp6. UTF-8, UTF-16 and code pages are told apart; lines that are no
sockets don't matter. Numbers are needed instead of names: take dumps with -n.

The ephemeral range is not in a dump. It is that of --os, which is guessed by the format:

%s
Who opened a connection is told by the listeners of the dump: what has a local port that
something listens on, did not. Where a dump shows no listeners, by SYN_SENT, by known
service ports, by the port that more connections share, and by the range; in doubt this
host did. docs/analyze.md has the rule in full.`

const analyzeExample = `  netstat -ano > dump.txt                     # on Windows
  portreeve-agent analyze dump.txt

  portreeve-agent analyze --os windows-2003 --max-user-port 20000 dump.txt
  ssh node-7 ss -tanp | portreeve-agent analyze --range 1024-65535 -o yaml -`

func (a *app) newAnalyzeCommand() *cobra.Command {
	z := &analyzer{
		app:    a,
		output: choiceFlag{"table", []string{"table", "yaml", "json"}},
		system: choiceFlag{"", dump.SystemNames()},
	}
	c := &cobra.Command{
		Use:     "analyze FILE...",
		Short:   "Print the PortPressure that a dump of netstat, ss or TCPView shows",
		Long:    fmt.Sprintf(analyzeHelp, formatRangeTable()),
		Example: analyzeExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return newUsageErrorf("analyze needs a file, or - for standard input")
			}
			return nil
		},
		RunE: func(c *cobra.Command, files []string) error { return z.analyzeFiles(c.Context(), files) },
	}
	f := c.Flags()
	f.SortFlags = false
	f.VarP(&z.output, "output", "o", "how to print: "+z.output.describeAllowed())
	f.Var(&z.system, "os", "what the dump was taken on: "+z.system.describeAllowed()+" (default: guessed by the format)")
	f.Var(&z.maxUserPort, "max-user-port", "the registry value MaxUserPort, where it is set")
	f.Var(&z.ephemeral, "range", "the ephemeral range, FIRST-LAST, where it is neither the default nor set by MaxUserPort")
	f.Var(&z.pools, "pools", "list the N tightest pools, or all (default: those past the warning line)")
	return c
}

// formatRangeTable is the ranges by system.
func formatRangeTable() string {
	var b strings.Builder
	means := map[ephemeral.MaxUserPort]string{
		ephemeral.LastPort: "MaxUserPort is the last port, 5000 to 65534", ephemeral.PortCount: "MaxUserPort is the number of ports, 255 to 16384",
	}
	for _, s := range ephemeral.Systems {
		b.WriteString(strings.TrimRight(fmt.Sprintf("  %-22s  %-12v %s", s.Name, s.Range, means[s.MaxUserPort]), " ") + "\n")
	}
	return b.String()
}

func (z *analyzer) analyzeFiles(ctx context.Context, files []string) error {
	o := dump.Options{System: z.system.value, MaxUserPort: int(z.maxUserPort), Range: ports.Range(z.ephemeral)}
	if z.maxUserPort > 0 && o.Range != (ports.Range{}) {
		return newUsageErrorf("--max-user-port %v and --range %v: one of them says what the range is", &z.maxUserPort, &z.ephemeral)
	}
	if err := o.Check(); err != nil {
		return usageError{err}
	}
	out := newPrinter(z.app, z.output.value, len(files) > 1, false)
	var failed []error
	for _, file := range files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := z.analyzeFile(file, o, out)
		if option := (dump.OptionError{}); errors.As(err, &option) {
			return usageError{err}
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", formatFileName(file), err))
		}
	}
	return errors.Join(failed...)
}

const stdin = "-"

func formatFileName(file string) string {
	if file == stdin {
		return "standard input"
	}
	return file
}

// analyzeFile prints what one dump shows.
func (z *analyzer) analyzeFile(file string, o dump.Options, out printer) error {
	in, taken, err := z.openInput(file)
	if err != nil {
		return err
	}
	defer in.Close()
	o.Taken = taken
	d, err := dump.Read(in, o)
	if err != nil {
		return err
	}
	facts := buildDumpFacts(&d)
	facts.Detail = assess.Detail{Pools: int(z.pools), Verbose: true}
	object := v1alpha1.PortPressure{Status: assess.BuildStatus(d.Sample, facts)}
	object.APIVersion, object.Kind = v1alpha1.GroupVersion.String(), "PortPressure"
	object.Name = formatObjectName(file)
	if !d.UDP {
		object.Status.UDP = nil // not 0: not seen
	}
	return out.printObject(object, assess.CountUnlistedPools(d.Sample, facts))
}

// openInput gives the file and when it was last written.
func (a *app) openInput(file string) (io.ReadCloser, time.Time, error) {
	if file == stdin {
		return io.NopCloser(a.stdin), time.Now(), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, time.Time{}, errors.Unwrap(err) // without the name, which comes before
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		f.Close()
		if err == nil {
			err = errors.New("is a folder")
		}
		return nil, time.Time{}, err
	}
	return f, info.ModTime(), nil
}

// formatObjectName is the file's, as the name of its object.
func formatObjectName(file string) string {
	if file == stdin {
		return "stdin"
	}
	return strings.ToLower(filepath.Base(file))
}

// buildDumpFacts is what a status says beside the sample.
func buildDumpFacts(d *dump.Dump) assess.Facts {
	platform := v1alpha1.Platform{OS: "linux"}
	if d.System.Windows {
		platform = v1alpha1.Platform{OS: "windows", Build: strings.TrimPrefix(d.System.Name, "windows-")}
	}
	return assess.Facts{
		AgentVersion: version, Platform: platform, Explain: true,
		System: cause.System{
			IsWindows: d.System.Windows, UsesMaxUserPort: d.System.MaxUserPort == ephemeral.LastPort, TimeWait: d.System.TimeWait,
		},
	}
}

// maxUserPortFlag is the registry value; which values a system takes, dump knows.
type maxUserPortFlag int

func (m *maxUserPortFlag) String() string {
	if *m == 0 {
		return ""
	}
	return strconv.Itoa(int(*m))
}

func (m *maxUserPortFlag) Type() string            { return "N" }
func (m *maxUserPortFlag) describeAllowed() string { return "a number from 255 to 65534" }

func (m *maxUserPortFlag) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 255 || n > 65534 {
		return errNotAllowed
	}
	*m = maxUserPortFlag(n)
	return nil
}

// portRangeFlag is an inclusive range of ports.
type portRangeFlag ports.Range

func (p *portRangeFlag) String() string {
	if *p == (portRangeFlag{}) {
		return ""
	}
	return ports.Range(*p).String()
}

func (p *portRangeFlag) Type() string { return "FIRST-LAST" }
func (p *portRangeFlag) describeAllowed() string {
	return "a range of ports from 1 to 65535, such as 32768-60999"
}

func (p *portRangeFlag) Set(s string) error {
	r, err := ports.ParseRange(s)
	if err != nil || r.First == 0 || !strings.Contains(s, "-") {
		return errNotAllowed
	}
	*p = portRangeFlag(r)
	return nil
}
