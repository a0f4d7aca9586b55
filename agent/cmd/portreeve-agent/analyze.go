package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/readers/dump"
	"portreeve.io/portreeve/agent/readers/osdefaults"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
)

// analyzer is the command that analyzes dumps of other machines.
type analyzer struct {
	*app
	output      choiceFlag
	pools       poolCountFlag
	system      choiceFlag
	maxUserPort maxUserPortFlag
	ephemeral   portRangeFlag
	state       stateFlag
	network     choiceFlag
}

const analyzeHelp = `Print the PortPressure that dumps of a host's sockets show, one for each file.

Supported are ss, netstat (net-tools, busybox, talosctl), lsof -nP -i and /proc/net/tcp of
Linux, and netstat of Windows in any language, netsh int ipv4 show tcpconnections, TCPView,
Tcpvcon, and Get-NetTCPConnection and Get-NetUDPEndpoint as a table, list, CSV or JSON, in
UTF-8, UTF-16 and code pages, with any text before the rows. Lines without sockets are
ignored. Dumps must have numbers instead of names: take them with -n.

A dump of sockets does not show the ephemeral range. If the file also has the output of
sysctl, netsh or the registry, its range is used. Otherwise it is that of --os, by default
guessed by the format:

%s
Connections to a local port with a listener in the dump are inbound, all others outbound.
If a dump shows no listeners, the direction is derived from SYN_SENT, known service ports,
the port that more connections share, and the range; in doubt it is outbound.
docs/analyze.md has the full rule.`

const analyzeExample = `  netstat -ano > dump.txt                     # on Windows
  portreeve-agent analyze dump.txt

  portreeve-agent analyze --os windows-2003 --max-user-port 20000 dump.txt
  ssh node-7 ss -tanp | portreeve-agent analyze --range 1024-65535 -o yaml -`

func (a *app) newAnalyzeCommand() *cobra.Command {
	z := &analyzer{
		app:     a,
		output:  choiceFlag{"table", []string{"table", "yaml", "json"}},
		system:  choiceFlag{"", dump.SystemNames()},
		network: choiceFlag{"", dump.NetworkNames()},
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
	f.Var(&z.system, "os", "operating system of the dump: "+z.system.describeAllowed()+" (default: guessed by the format)")
	f.Var(&z.maxUserPort, "max-user-port", "the registry value MaxUserPort, if it is set")
	f.Var(&z.ephemeral, "range", "the ephemeral range, FIRST-LAST, if it is neither the default nor set by MaxUserPort")
	f.Var(&z.state, "state", "state of rows that have none, as from ss -tn state time-wait: "+z.state.describeAllowed())
	f.Var(&z.network, "network", "network of the dump: "+z.network.describeAllowed()+" (default: unknown)")
	f.Var(&z.pools, "pools", "list the N tightest pools, or all (default: those above the warning threshold)")
	return c
}

// formatRangeTable returns a table of the ranges by system.
func formatRangeTable() string {
	var b strings.Builder
	meanings := map[osdefaults.MaxUserPortMeaning]string{
		osdefaults.LastPort:  "MaxUserPort is the last port, 5000 to 65534",
		osdefaults.PortCount: "MaxUserPort is the number of ports, 255 to 16384, or the last port",
	}
	for _, s := range osdefaults.Systems {
		b.WriteString(strings.TrimRight(fmt.Sprintf("  %-22s  %-12v %s", s.Name, s.Range, meanings[s.MaxUserPort]), " ") + "\n")
	}
	return b.String()
}

func (z *analyzer) analyzeFiles(ctx context.Context, files []string) error {
	o := dump.Options{System: z.system.value, MaxUserPort: int(z.maxUserPort), Range: ports.Range(z.ephemeral),
		State: string(z.state), Network: z.network.value}
	if z.maxUserPort > 0 && o.Range != (ports.Range{}) {
		return newUsageErrorf("--max-user-port %v and --range %v: only one of them can set the range", &z.maxUserPort, &z.ephemeral)
	}
	if err := o.Validate(); err != nil {
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

// analyzeFile prints the PortPressure of one dump.
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
		object.Status.UDP = nil // unknown, not 0
	}
	if d.RangeMismatch != "" {
		removeUsage(&object.Status, d.RangeMismatch)
	}
	return out.printObject(object, assess.CountUnlistedPools(d.Sample, facts))
}

// removeUsage removes what depends on the range, since it must be another than the assumed one.
func removeUsage(s *v1alpha1.PortPressureStatus, reason string) {
	s.Level, s.UsedPercent, s.Tightest, s.Networks, s.UDP, s.Cause = "", nil, nil, nil, nil, ""
	s.Reader.Message = "The usage is unknown: " + reason
	s.Advice = ""
	s.Unobserved = slices.DeleteFunc(s.Unobserved, func(u v1alpha1.Unobserved) bool {
		return strings.HasSuffix(u.Item, "ports outside the range")
	})
}

// openInput opens the file, and returns when it was last written.
func (a *app) openInput(file string) (io.ReadCloser, time.Time, error) {
	if file == stdin {
		return io.NopCloser(a.stdin), time.Now(), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, time.Time{}, errors.Unwrap(err) // without the name, which the caller adds
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

// formatObjectName returns the object's name for a file.
func formatObjectName(file string) string {
	if file == stdin {
		return "stdin"
	}
	return strings.ToLower(filepath.Base(file))
}

// buildDumpFacts returns the facts that a status needs in addition to the sample.
func buildDumpFacts(d *dump.Dump) assess.Facts {
	platform := v1alpha1.Platform{OS: "linux"}
	if d.System.Windows {
		platform = v1alpha1.Platform{OS: "windows", Build: strings.TrimPrefix(d.System.Name, "windows-")}
	}
	return assess.Facts{
		AgentVersion: version, Platform: platform, Explain: true,
		System: cause.System{
			IsWindows:       d.System.Windows,
			UsesMaxUserPort: d.System.MaxUserPort == osdefaults.LastPort,
			TimeWait:        d.System.TimeWait,
		},
	}
}

// maxUserPortFlag is the registry value; package dump checks whether a system accepts it.
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

// stateFlag is a state of a socket; package dump knows its spellings.
type stateFlag string

func (s *stateFlag) String() string          { return string(*s) }
func (s *stateFlag) Type() string            { return "STATE" }
func (s *stateFlag) describeAllowed() string { return "a TCP state such as time-wait, or udp" }

func (s *stateFlag) Set(text string) error {
	if (dump.Options{State: text}).Validate() != nil {
		return errNotAllowed
	}
	*s = stateFlag(text)
	return nil
}
