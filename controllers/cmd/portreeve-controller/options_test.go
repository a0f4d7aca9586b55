package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, pair := range pairs {
			if k, v, _ := strings.Cut(pair, "="); k == name {
				return v, true
			}
		}
		return "", false
	}
}

func TestParse(t *testing.T) {
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
		"nothing given": {want: with(nil)},
		"a flag":        {args: []string{"--heartbeat=1h"}, want: with(func(s *programOptions) { s.heartbeat = time.Hour })},
		"the environment stands in for a flag": {
			env: []string{"PORTREEVE_LOG_LEVEL=debug", "PORTREEVE_LEADER_ELECT=false"}, want: with(func(s *programOptions) { s.logLevel, s.leaderElection = slog.LevelDebug, false }),
		},
		"a flag goes before the environment": {
			args: []string{"--namespace", "a"}, env: []string{"PORTREEVE_NAMESPACE=b"}, want: with(func(s *programOptions) { s.namespace = "a" }),
		},
		"nonsense in the environment": {
			env: []string{"PORTREEVE_HEARTBEAT=soon"},
			err: `PORTREEVE_HEARTBEAT="soon": must be a duration (how often a healthy agent reports at least; two of them without a report make it silent)`,
		},
		"nonsense in a flag":           {args: []string{"--heartbeat=soon"}, err: `invalid argument "soon" for "--heartbeat" flag: time: invalid duration "soon"`},
		"an unknown flag":              {args: []string{"--hartbeat=1h"}, err: "unknown flag: --hartbeat"},
		"an argument":                  {args: []string{"run"}, err: `argument "run": only release and flags are taken, see --help`},
		"a heartbeat that is none":     {args: []string{"--heartbeat=10s"}, err: "--heartbeat 10s: must be 1m or more, and no less than the agents'"},
		"no grace":                     {args: []string{"--agent-grace=0s"}, err: "--agent-grace 0s: must be 1s or more"},
		"no time to wait":              {args: []string{"--timeout=0s"}, err: "--timeout 0s: must be 1s or more"},
		"no namespace":                 {env: []string{"PORTREEVE_NAMESPACE="}, err: `--namespace "": name the namespace of the agents' pods, such as portreeve-system`},
		"warning past 100":             {args: []string{"--warning-percent=101"}, err: "--warning-percent 101: must be 1 to 100"},
		"critical before warning":      {args: []string{"--critical-percent=40"}, err: "--critical-percent 40: must be --warning-percent (50) to 100"},
		"Nodes that say what waits":    {args: []string{"--annotate-restart"}, want: with(func(s *programOptions) { s.annotateRestart = true })},
		"names that nobody looks up":   {args: []string{"--resolve-destinations=false"}, want: with(func(s *programOptions) { s.resolveDestinations = false })},
		"a log format that is unknown": {args: []string{"--log-format=xml"}, err: `--log-format "xml": must be text or json`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseFlags(tt.args, environment(tt.env...))
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

func TestEveryFlagSaysWhatItIs(t *testing.T) {
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
		"the version":             {args: []string{"--version"}, stdout: "portreeve-controller version dev\n"},
		"a mistake is one line":   {args: []string{"--agent-grace=0s"}, code: exitUsage, stderr: "portreeve-controller: --agent-grace 0s: must be 1s or more\n"},
		"nothing to release from": {args: []string{"release", "--kubeconfig=/nowhere"}, code: exitFailure, stderr: "portreeve-controller: kubeconfig \"/nowhere\" cannot be used: stat /nowhere: no such file or directory\n"},
		"a kubeconfig not there":  {args: []string{"--kubeconfig=/nowhere"}, code: exitFailure, stderr: "portreeve-controller: kubeconfig \"/nowhere\" cannot be used: stat /nowhere: no such file or directory\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), tt.args, environment(tt.env...), &stdout, &stderr)
			if code != tt.code || stdout.String() != tt.stdout || stderr.String() != tt.stderr {
				t.Errorf("code %d, stdout %q, stderr %q", code, &stdout, &stderr)
			}
		})
	}
}
