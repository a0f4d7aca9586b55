package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	page := flag.String("page", "docs/benchmarks.md", "the page whose tables are written; \"-\" prints them")
	only := flag.String("only", "", "scenarios to run, such as one,quiet (default all: one,many,quiet,million)")
	rounds := flag.Int("rounds", 0, "rounds of each scenario (default each scenario's own)")
	server := flag.String("serve", "", "for the bench itself: be a resident reader")
	flag.Parse()
	err := fmt.Errorf("argument %q isn't known", flag.Arg(0))
	switch {
	case flag.NArg() > 0:
	case *server != "":
		err = serve(*server)
	default:
		err = run(*page, *only, *rounds)
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
	text := machine()
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
		text += "\n" + r.section()
		missed = append(missed, r.missed()...)
	}
	if err := write(page, text); err != nil {
		return err
	}
	if len(missed) > 0 {
		return errors.New("goals missed:\n\t" + strings.Join(missed, "\n\t"))
	}
	return nil
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

// run measures the subjects in turn, round by round. TIME_WAIT sockets fade: new ones
// are made until there are enough rounds.
func (s scenario) run() (result, error) {
	r := result{scenario: s}
	for _, name := range s.subjects {
		r.rows = append(r.rows, row{name: name})
	}
	for have := 0; have < s.rounds; {
		if err := s.episode(&r); err != nil {
			return r, err
		}
		if len(r.rows[0].cpu) == have {
			return r, fmt.Errorf("no round began within %v: this machine is too slow for so many TIME_WAIT sockets", fresh)
		}
		have = len(r.rows[0].cpu)
	}
	return r, nil
}

// fresh is how old the first TIME_WAIT socket may be when a round begins: a round
// takes some seconds, and the socket lasts 60.
const fresh = 48 * time.Second

func (s scenario) episode(r *result) (err error) {
	fmt.Fprintf(os.Stderr, "%s: making the sockets\n", s.title)
	started := time.Now()
	b, err := stand(s)
	defer func() { err = errors.Join(err, b.close()) }()
	if err != nil {
		return err
	}
	var subjects []subject
	defer func() {
		for i, sub := range subjects {
			r.rows[i].memory = r.rows[i].memory.most(sub.memory())
			err = errors.Join(err, sub.close())
		}
	}()
	for _, name := range s.subjects {
		sub, err := open(name, b)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		subjects = append(subjects, sub)
		if err := warm(sub, b); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for len(r.rows[0].cpu) < s.rounds && (!s.fades() || time.Since(started) < fresh) {
		if err := r.round(subjects); err != nil {
			return err
		}
	}
	if s.watch == nil {
		return nil
	}
	m, err := watch()
	*s.watch = s.watch.most(m)
	return err
}

func (r *result) round(subjects []subject) error {
	for i, sub := range subjects {
		cpu, err := sub.sample()
		if err != nil {
			return fmt.Errorf("%s: %w", r.rows[i].name, err)
		}
		r.rows[i].cpu = append(r.rows[i].cpu, cpu)
	}
	return nil
}

func (s scenario) fades() bool { return s.loads[0].TimeWait > 0 }

// warm samples once and compares what the subject sees with what stands.
func warm(s subject, b *bed) error {
	if _, err := s.sample(); err != nil {
		return err
	}
	return s.check(b)
}

func write(page, text string) error {
	if page == "-" {
		_, err := fmt.Print(text)
		return err
	}
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	now, err := splice(string(old), text)
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(page, []byte(now), 0o644)
}

// machine says where and when the figures were taken.
func machine() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		panic(err) // it can only fail for a bad pointer
	}
	cpu := "unknown CPU"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, ok := strings.Cut(string(b), "model name\t: "); ok {
			cpu, _, _ = strings.Cut(after, "\n")
		}
	}
	return fmt.Sprintf("%s, %d CPUs, Linux %s %s, %s, `make bench`.\n", cpu, runtime.NumCPU(),
		unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]), time.Now().UTC().Format(time.DateOnly))
}
