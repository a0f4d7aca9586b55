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
	page := flag.String("page", "docs/benchmarks.md", "the page whose tables are written; \"-\" prints them")
	only := flag.String("only", "", "scenarios to run, such as one,quiet (default all: one,many,quiet,million)")
	onlyCliff := flag.Bool("cliff", false, "measure connect() by the fill of its pool, and nothing else")
	connects := flag.Int("connects", 1000, "connects at each fill of the pool")
	picture := flag.String("picture", "docs/images/half-range-cliff.svg", "the picture of that, which is written")
	rounds := flag.Int("rounds", 0, "rounds of each scenario (default each scenario's own)")
	server := flag.String("serve", "", "for the bench itself: be a resident reader")
	flag.Parse()
	var err error
	switch {
	case flag.NArg() > 0:
		err = fmt.Errorf("argument %q isn't known", flag.Arg(0))
	case *connects < 1:
		err = fmt.Errorf("-connects %d: use 1 or more", *connects)
	case *server != "":
		err = serve(*server)
	case *onlyCliff:
		err = runCliff(*page, *picture, *connects)
	case *only != "":
		err = run(*page, *only, *rounds)
	default:
		err = errors.Join(run(*page, *only, *rounds), runCliff(*page, *picture, *connects))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(page, only string, rounds int) error {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	if err := requirements(chosen); err != nil {
		return err
	}
	var text strings.Builder
	text.WriteString(samples.DescribeMachine() + ".\n")
	var missed []string
	for _, s := range chosen {
		if rounds > 0 {
			s.rounds = rounds
		}
		r, err := s.run()
		if err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
		fmt.Fprintln(os.Stderr, r.section())
		text.WriteString("\n" + r.section())
		missed = append(missed, r.missed()...)
	}
	if err := samples.Write(page, text.String()); err != nil {
		return err
	}
	if len(missed) > 0 {
		return errors.New("goals missed:\n\t" + strings.Join(missed, "\n\t"))
	}
	return nil
}

func runCliff(page, picture string, connects int) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root: it makes a network namespace")
	}
	c, err := measureCliff(cliffFills, connects)
	if err != nil {
		return err
	}
	if page == "-" {
		return fills.Write(page, fills.DescribeMachine()+".\n"+c.section(picture))
	}
	relative, err := filepath.Rel(filepath.Dir(page), picture)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(picture), 0o755); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(picture, []byte(c.picture()), 0o644),
		fills.Write(page, fills.DescribeMachine()+".\n"+c.section(filepath.ToSlash(relative))))
}

func requirements(chosen []scenario) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root: it makes network namespaces and loads BPF programs")
	}
	for _, tool := range []string{"ss", "prometheus-node-exporter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s isn't installed (Debian: iproute2, prometheus-node-exporter)", tool)
		}
	}
	if !slices.ContainsFunc(chosen, func(s scenario) bool { return s.watch != nil }) {
		return nil
	}
	if _, err := os.Stat(agentBinary); err != nil {
		return fmt.Errorf("run `make build` first, and the bench at the repository's root: %w", err)
	}
	return nil
}

func choose(only string) ([]scenario, error) {
	all := scenarios()
	if only == "" {
		return all, nil
	}
	var chosen []scenario
	for key := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(s scenario) bool { return s.key == key })
		if i < 0 {
			return nil, fmt.Errorf("-only: no scenario is called %q: use one, many, quiet, million", key)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
