package main

import (
	"errors"
	"fmt"
	"os"
	"time"
)

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
