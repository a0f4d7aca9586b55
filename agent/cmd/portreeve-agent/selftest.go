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

// selfTester is the command that finds out what only the machine itself can tell.
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
		Short: "Find out what only this Windows machine can tell, to send to Portreeve's maintainers",
		Long: "Find out what Windows' documents leave open: how ports are given, what the tables show, what may be read.\n\n" +
			"It opens up to 1,000 connections on loopback for a moment, and changes no setting.\n" +
			"The report has no addresses and no names of processes; please send it to Portreeve's maintainers.",
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
	f.BoolVar(&t.measureTimeWait, "time-wait", false, "measure how long TIME_WAIT lasts, which takes up to 5 minutes")
	f.BoolVar(&t.testWrite, "write", false, "write a value of the registry below a key of Portreeve's own, and remove it")
	return c
}

// runSelfTest takes a sample, for the ranges and for what can be read, and asks its questions.
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
	r.Describe(&status)
	r.Checks = t.runChecks(ctx, &sample)
	return r, nil
}

func (t *selfTester) printReport(r selftest.Report) error {
	if t.output.value == "json" {
		out := json.NewEncoder(t.stdout)
		out.SetIndent("", "  ")
		return out.Encode(r)
	}
	page := terminal.NewBuilder(terminal.Options{})
	page.WriteWrapped("", fmt.Sprintf("portreeve-agent %s on %s %s, %s", r.AgentVersion, r.Platform.OS, r.Platform.Build, r.Taken.UTC().Format("2006-01-02 15:04 UTC")))
	line := func(state, name, text string) {
		page.WriteWrapped(fmt.Sprintf("  %-12s %-24s ", strings.ToLower(state), name), text)
	}
	page.WriteLine(terminal.Plain("Asked"))
	for _, c := range r.Checks {
		line(string(c.State), c.Name, c.Finding)
	}
	page.WriteLine(terminal.Plain("Capabilities"))
	for _, c := range r.Capabilities {
		line(string(c.State), c.Name, c.Message)
	}
	for _, u := range r.Unobserved {
		line("not seen", u.Item, u.Reason)
	}
	page.WriteWrapped("", "-o json has more, and is what to send.")
	_, err := io.WriteString(t.stdout, page.String())
	return err
}
