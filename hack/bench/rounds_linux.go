package main

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// measureRounds measures the subjects in turn, round by round. TIME_WAIT sockets expire, so
// they are recreated until there are enough rounds.
func (s scenario) measureRounds() (result, error) {
	r := result{scenario: s}
	for _, name := range s.subjects {
		r.rows = append(r.rows, subjectRow{name: name})
	}
	for have := 0; have < s.rounds; {
		if err := s.measureFreshSockets(&r); err != nil {
			return r, err
		}
		if len(r.rows[0].cpu) == have {
			return r, fmt.Errorf("no round began within %v: this machine is too slow for so many TIME_WAIT sockets",
				maxSocketAge)
		}
		have = len(r.rows[0].cpu)
	}
	return r, nil
}

// maxSocketAge is the maximum age of the oldest TIME_WAIT socket when a round begins. A round
// takes some seconds, and a TIME_WAIT socket lasts 60 s.
const maxSocketAge = 48 * time.Second

// measureFreshSockets creates the scenario's sockets and measures rounds until there are
// enough of them or the sockets are too old.
func (s scenario) measureFreshSockets(r *result) (err error) {
	fmt.Fprintf(os.Stderr, "%s: creating the sockets\n", s.title)
	started := time.Now()
	b, err := createSandbox(s)
	defer func() { err = errors.Join(err, b.close()) }()
	if err != nil {
		return err
	}
	var subjects []subject
	defer func() {
		for i, sub := range subjects {
			r.rows[i].memory = r.rows[i].memory.maxOfEach(sub.memory())
			err = errors.Join(err, sub.close())
		}
	}()
	for _, name := range s.subjects {
		sub, err := openSubject(name, b)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		subjects = append(subjects, sub)
		if err := checkFirstSample(sub, b); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for len(r.rows[0].cpu) < s.rounds && (!s.hasTimeWait() || time.Since(started) < maxSocketAge) {
		if err := r.measureRound(subjects); err != nil {
			return err
		}
	}
	if s.watchMemory == nil {
		return nil
	}
	m, err := measureWatch()
	*s.watchMemory = s.watchMemory.maxOfEach(m)
	return err
}

func (r *result) measureRound(subjects []subject) error {
	for i, sub := range subjects {
		cpu, err := sub.sample()
		if err != nil {
			return fmt.Errorf("%s: %w", r.rows[i].name, err)
		}
		r.rows[i].cpu = append(r.rows[i].cpu, cpu)
	}
	return nil
}

func (s scenario) hasTimeWait() bool { return s.loads[0].TimeWait > 0 }

// checkFirstSample samples once and compares the sockets that the subject reports with
// those that exist.
func checkFirstSample(s subject, b *sandbox) error {
	if _, err := s.sample(); err != nil {
		return err
	}
	return s.check(b)
}
