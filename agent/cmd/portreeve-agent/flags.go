package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Each flag type is a pflag.Value with a describeAllowed method, which describes its
// allowed values; the errors of Set are never shown.

var errNotAllowed = errors.New("not allowed")

// choiceFlag is one of several words.
type choiceFlag struct {
	value   string
	choices []string
}

func (c *choiceFlag) String() string          { return c.value }
func (c *choiceFlag) Type() string            { return "name" }
func (c *choiceFlag) describeAllowed() string { return joinWithOr(c.choices) }

func (c *choiceFlag) Set(s string) error {
	if !slices.Contains(c.choices, s) {
		return errNotAllowed
	}
	c.value = s
	return nil
}

// intervalFlag is a time between samples.
type intervalFlag time.Duration

const minInterval = 100 * time.Millisecond

func (i *intervalFlag) String() string { return time.Duration(*i).String() }
func (i *intervalFlag) Type() string   { return "duration" }

func (i *intervalFlag) describeAllowed() string {
	return fmt.Sprintf("a duration of %v or more, such as 1s", minInterval)
}

func (i *intervalFlag) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < minInterval {
		return errNotAllowed
	}
	*i = intervalFlag(d)
	return nil
}

// poolCountFlag is the number of pools to list: negative for all, 0 for those above the
// warning threshold.
type poolCountFlag int

const allPools = "all"

func (p *poolCountFlag) String() string {
	switch {
	case *p < 0:
		return allPools
	case *p == 0:
		return ""
	}
	return strconv.Itoa(int(*p))
}

func (p *poolCountFlag) Type() string            { return "N|all" }
func (p *poolCountFlag) describeAllowed() string { return "a number from 1 on, or all" }

func (p *poolCountFlag) Set(s string) error {
	if s == allPools {
		*p = -1
		return nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 {
		return errNotAllowed
	}
	*p = poolCountFlag(n)
	return nil
}

// percentFlag is a share of one CPU.
type percentFlag int

func (p *percentFlag) String() string          { return strconv.Itoa(int(*p)) }
func (p *percentFlag) Type() string            { return "percent" }
func (p *percentFlag) describeAllowed() string { return "a whole number from 1 to 100" }

func (p *percentFlag) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 100 {
		return errNotAllowed
	}
	*p = percentFlag(n)
	return nil
}
