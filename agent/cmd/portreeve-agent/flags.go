package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// The flags' types. Each is a pflag.Value whose allowed says what it takes; the
// errors of Set are never shown.

var errNotAllowed = errors.New("not allowed")

// choice is one of some words.
type choice struct {
	value string
	of    []string
}

func (c *choice) String() string  { return c.value }
func (c *choice) Type() string    { return "name" }
func (c *choice) allowed() string { return oneOf(c.of) }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return errNotAllowed
	}
	c.value = s
	return nil
}

// interval is a time between samples.
type interval time.Duration

const minInterval = 100 * time.Millisecond

func (i *interval) String() string { return time.Duration(*i).String() }
func (i *interval) Type() string   { return "duration" }

func (i *interval) allowed() string {
	return fmt.Sprintf("a duration of %v or more, such as 1s", minInterval)
}

func (i *interval) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < minInterval {
		return errNotAllowed
	}
	*i = interval(d)
	return nil
}

// pools is how many pools to list, negative for all, 0 for those past the line.
type pools int

const allPools = "all"

func (p *pools) String() string {
	switch {
	case *p < 0:
		return allPools
	case *p == 0:
		return ""
	}
	return strconv.Itoa(int(*p))
}

func (p *pools) Type() string    { return "N|all" }
func (p *pools) allowed() string { return "a number from 1 on, or all" }

func (p *pools) Set(s string) error {
	if s == allPools {
		*p = -1
		return nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 {
		return errNotAllowed
	}
	*p = pools(n)
	return nil
}

// percent is a share of one CPU.
type percent int

func (p *percent) String() string  { return strconv.Itoa(int(*p)) }
func (p *percent) Type() string    { return "percent" }
func (p *percent) allowed() string { return "a whole number from 1 to 100" }

func (p *percent) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 100 {
		return errNotAllowed
	}
	*p = percent(n)
	return nil
}
