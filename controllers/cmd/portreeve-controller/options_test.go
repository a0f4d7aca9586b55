package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newEnvironment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, pair := range pairs {
			if k, v, _ := strings.Cut(pair, "="); k == name {
				return v, true
			}
		}
		return "", false
	}
}

func TestParseFlags(t *testing.T) {
	with := func(change func(*programOptions)) programOptions {
		s := programOptions{
			namespace: "portreeve-system", heartbeat: 30 * time.Minute, agentGrace: 2 * time.Minute, releaseTimeout: 4 * time.Minute,
			warningPercent: 50, criticalPercent: 85, resolveDestinations: true, leaderElection: true, metricsAddress: ":8080", healthAddress: ":8081", logFormat: "text",
		}
		if change != nil {
			change(&s)
		}
		return s
	}
	tests := map[string]struct {
		args, env []string
		want      programOptions
		err       string
	}{
		"no flags": {want: with(nil)},
		"a flag":   {args: []string{"--heartbeat=1h"}, want: with(func(s *programOptions) { s.heartbeat = time.Hour })},
		"an environment variable sets a flag": {
			env: []string{"PORTREEVE_LOG_LEVEL=debug", "PORTREEVE_LEADER_ELECT=false"}, want: with(func(s *programOptions) { s.logLevel, s.leaderElection = slog.LevelDebug, false }),
		},
		"a flag takes precedence over the environment": {
			args: []string{"--namespace", "a"}, env: []string{"PORTREEVE_NAMESPACE=b"}, want: with(func(s *programOptions) { s.namespace = "a" }),
		},
		"an invalid environment variable": {
			env: []string{"PORTREEVE_HEARTBEAT=soon"},
			err: `PORTREEVE_HEARTBEAT="soon": must be a duration (longest interval between reports of a healthy agent; after two intervals without a report it counts as silent)`,
		},
		"an invalid flag":        {args: []string{"--heartbeat=soon"}, err: `invalid argument "soon" for "--heartbeat" flag: time: invalid duration "soon"`},
		"an unknown flag":        {args: []string{"--hartbeat=1h"}, err: "unknown flag: --hartbeat"},
		"an argument":            {args: []string{"run"}, err: `argument "run": must be release or a flag, see --help`},
		"a short heartbeat":      {args: []string{"--heartbeat=10s"}, err: "--heartbeat 10s: must be 1m or more, and no less than the agents'"},
		"no grace":               {args: []string{"--agent-grace=0s"}, err: "--agent-grace 0s: must be 1s or more"},
		"no timeout":             {args: []string{"--timeout=0s"}, err: "--timeout 0s: must be 1s or more"},
		"no namespace":           {env: []string{"PORTREEVE_NAMESPACE="}, err: `--namespace "": name the namespace of the agents' pods, such as portreeve-system`},
		"warning above 100":      {args: []string{"--warning-percent=101"}, err: "--warning-percent 101: must be 1 to 100"},
		"critical below warning": {args: []string{"--critical-percent=40"}, err: "--critical-percent 40: must be --warning-percent (50) to 100"},
		"annotations on Nodes":   {args: []string{"--annotate-restart"}, want: with(func(s *programOptions) { s.annotateRestart = true })},
		"no destination names":   {args: []string{"--resolve-destinations=false"}, want: with(func(s *programOptions) { s.resolveDestinations = false })},
		"an unknown log format":  {args: []string{"--log-format=xml"}, err: `--log-format "xml": must be text or json`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseFlags(tt.args, newEnvironment(tt.env...))
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Fatalf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(programOptions{})); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUsageListsFlags(t *testing.T) {
	for _, flag := range []string{"--heartbeat duration", "--agent-grace", "--namespace", "(default 30m0s)", "PORTREEVE_LOG_LEVEL"} {
		if !strings.Contains(formatUsage(), flag) {
			t.Errorf("usage has no %q:\n%s", flag, formatUsage())
		}
	}
}

func TestRun(t *testing.T) {
	tests := map[string]struct {
		args           []string
		env            []string
		code           int
		stdout, stderr string
	}{
		"the version":                 {args: []string{"--version"}, stdout: "portreeve-controller version dev\n"},
		"an invalid flag is one line": {args: []string{"--agent-grace=0s"}, code: exitUsage, stderr: "portreeve-controller: --agent-grace 0s: must be 1s or more\n"},
		"release without kubeconfig":  {args: []string{"release", "--kubeconfig=/nowhere"}, code: exitFailure, stderr: "portreeve-controller: kubeconfig \"/nowhere\" cannot be used: stat /nowhere: no such file or directory\n"},
		"a missing kubeconfig":        {args: []string{"--kubeconfig=/nowhere"}, code: exitFailure, stderr: "portreeve-controller: kubeconfig \"/nowhere\" cannot be used: stat /nowhere: no such file or directory\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), tt.args, newEnvironment(tt.env...), &stdout, &stderr)
			if code != tt.code || stdout.String() != tt.stdout || stderr.String() != tt.stderr {
				t.Errorf("code %d, stdout %q, stderr %q", code, &stdout, &stderr)
			}
		})
	}
}

func TestTheLogIsPrintable(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out strings.Builder
		log := slog.New((&programOptions{logFormat: format}).newLogHandler(&out))
		log.Info("m\u202e", "value", "a\u202eb", "err", errors.New("c\u202ed"))
		if got := out.String(); strings.Contains(got, "\u202e") || !strings.Contains(got, "a?b") || !strings.Contains(got, "c?d") {
			t.Errorf("%s: %q", format, got)
		}
	}
}
