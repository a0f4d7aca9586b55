package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	page := flag.String("page", "docs/benchmarks.md", "page to write the tables to; \"-\" prints them")
	only := flag.String("only", "", "comma-separated scenarios to run (default one,inbound,many,quiet,million)")
	onlyCliff := flag.Bool("cliff", false, "only measure connect() time by pool utilization")
	connects := flag.Int("connects", 1000, "connects at each pool utilization")
	picture := flag.String("picture", "docs/images/half-range-cliff.svg",
		"SVG file to write for connect() time by pool utilization")
	rounds := flag.Int("rounds", 0, "rounds of each scenario (default depends on the scenario)")
	server := flag.String("serve", "", "internal: run as a resident reader")
	flag.Parse()
	var err error
	switch {
	case flag.NArg() > 0:
		err = fmt.Errorf("unknown argument %q", flag.Arg(0))
	case *connects < 1:
		err = fmt.Errorf("-connects %d: use 1 or more", *connects)
	case *server != "":
		err = serveSamples(*server)
	case *onlyCliff:
		err = runCliff(*page, *picture, *connects)
	case *only != "":
		err = runScenarios(*page, *only, *rounds)
	default:
		err = errors.Join(runScenarios(*page, *only, *rounds), runCliff(*page, *picture, *connects))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func runScenarios(page, only string, rounds int) error {
	chosen, err := selectScenarios(only)
	if err != nil {
		return err
	}
	if err := checkRequirements(chosen); err != nil {
		return err
	}
	var text strings.Builder
	text.WriteString(samplesPart.DescribeMachine() + ".\n")
	var missed []string
	for _, s := range chosen {
		if rounds > 0 {
			s.rounds = rounds
		}
		r, err := s.measureRounds()
		if err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
		fmt.Fprintln(os.Stderr, r.formatSection())
		text.WriteString("\n" + r.formatSection())
		missed = append(missed, r.listMissedGoals()...)
	}
	if err := samplesPart.Write(page, text.String()); err != nil {
		return err
	}
	if len(missed) > 0 {
		return errors.New("goals missed:\n\t" + strings.Join(missed, "\n\t"))
	}
	return nil
}

func runCliff(page, picture string, connects int) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root to create a network namespace")
	}
	c, err := measureCliff(cliffUtilizations, connects)
	if err != nil {
		return err
	}
	if page == "-" {
		return cliffPart.Write(page, cliffPart.DescribeMachine()+".\n"+c.formatSection(picture))
	}
	relative, err := filepath.Rel(filepath.Dir(page), picture)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(picture), 0o755); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(picture, []byte(c.renderSVG()), 0o644),
		cliffPart.Write(page, cliffPart.DescribeMachine()+".\n"+c.formatSection(filepath.ToSlash(relative))))
}

func checkRequirements(chosen []scenario) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root to create network namespaces and load BPF programs")
	}
	for subject, tool := range map[string]string{ssName: "ss", exporterName: "prometheus-node-exporter"} {
		isUsed := slices.ContainsFunc(chosen, func(s scenario) bool { return slices.Contains(s.subjects, subject) })
		if _, err := exec.LookPath(tool); isUsed && err != nil {
			return fmt.Errorf("%s is not installed (Debian: iproute2, prometheus-node-exporter)", tool)
		}
	}
	if !slices.ContainsFunc(chosen, func(s scenario) bool { return s.watchMemory != nil }) {
		return nil
	}
	if _, err := os.Stat(agentBinary); err != nil {
		return fmt.Errorf("run `make build` first, and run bench in the repository's root: %w", err)
	}
	return nil
}

func selectScenarios(only string) ([]scenario, error) {
	all := listScenarios()
	if only == "" {
		return all, nil
	}
	var chosen []scenario
	for key := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(s scenario) bool { return s.key == key })
		if i < 0 {
			return nil, fmt.Errorf("-only: unknown scenario %q; use one, inbound, many, quiet, million", key)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
