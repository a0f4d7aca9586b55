package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/selftest"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/terminal"
)

// selfTester is the command that tests undocumented behaviour of this machine.
type selfTester struct {
	*app
	output          choiceFlag
	measureTimeWait bool
	testWrite       bool
}

func (a *app) newSelfTestCommand() *cobra.Command {
	t := &selfTester{app: a, output: choiceFlag{"text", []string{"text", "json"}}}
	c := &cobra.Command{
		Use:   "selftest",
		Short: "Test undocumented behaviour of this Windows machine, for Portreeve's maintainers",
		Long: "Test what the documentation of Windows leaves open: how ports are assigned, what the tables show, what can be read.\n\n" +
			"It briefly opens up to 1,000 connections on loopback, and changes no settings.\n" +
			"The report contains no addresses and no process names; please send it to Portreeve's maintainers.",
		Args: rejectArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			report, err := t.runSelfTest(c.Context())
			if err != nil {
				return err
			}
			return t.printReport(report)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.VarP(&t.output, "output", "o", "how to print: "+t.output.describeAllowed())
	f.BoolVar(&t.measureTimeWait, "time-wait", false, "measure the duration of TIME_WAIT, which takes up to 5 minutes")
	f.BoolVar(&t.testWrite, "write", false, "write a registry value below a key of Portreeve, and remove it")
	return c
}

// runSelfTest takes a sample, for the ranges and capabilities, and runs the checks.
func (t *selfTester) runSelfTest(ctx context.Context) (selftest.Report, error) {
	var r selftest.Report
	if err := checkSelfTestSupport(); err != nil {
		return r, err
	}
	reader, err := openReader(readerAuto, t.openers, readerOptions{})
	if err != nil {
		return r, err
	}
	defer reader.Close()
	sample, err := reader.Sample(ctx, socket.Request{})
	if err != nil {
		return r, fmt.Errorf("take a sample: %w", err)
	}
	facts := readFacts(&sample, "")
	facts.Detail.Verbose = true
	status := assess.BuildStatus(sample, facts)
	r.CopyStatus(&status)
	r.Checks = t.runChecks(ctx, &sample)
	return r, nil
}

func (t *selfTester) printReport(r selftest.Report) error {
	if t.output.value == "json" {
		out := json.NewEncoder(t.stdout)
		out.SetIndent("", "  ")
		return out.Encode(r)
	}
	b := terminal.NewBuilder(terminal.Options{})
	b.WriteWrapped("", fmt.Sprintf("portreeve-agent %s on %s %s, %s", r.AgentVersion, r.Platform.OS, r.Platform.Build, r.Taken.UTC().Format("2006-01-02 15:04 UTC")))
	line := func(state, name, text string) {
		b.WriteWrapped(fmt.Sprintf("  %-12s %-24s ", strings.ToLower(state), name), text)
	}
	b.WriteLine(terminal.Plain("Checks"))
	for _, c := range r.Checks {
		line(string(c.State), c.Name, c.Finding)
	}
	b.WriteLine(terminal.Plain("Capabilities"))
	for _, c := range r.Capabilities {
		line(string(c.State), c.Name, c.Message)
	}
	for _, u := range r.Unobserved {
		line("not observed", u.Item, u.Reason)
	}
	b.WriteWrapped("", "Please send the output of -o json, which has more details.")
	_, err := io.WriteString(t.stdout, b.String())
	return err
}
