package sysctlconf_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"portreeve.io/portreeve/agent/tuning/sysctlconf"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

func TestParse(t *testing.T) {
	tests := map[string]struct {
		text string
		want []sysctlconf.Line
	}{
		"a key and a value":                     {"net.ipv4.tcp_rfc1337 = 1\n", makeLines("net.ipv4.tcp_rfc1337", "1")},
		"no spaces and no end of the line":      {"a.b=1", makeLines("a.b", "1")},
		"spaces and ends of Windows":            {" \t a.b\t=  1  2 \r\n", makeLines("a.b", "1  2")},
		"a mark of UTF-8 at the beginning":      {"\ufeffa.b=1", makeLines("a.b", "1")},
		"a failure that doesn't matter":         {"-a.b = 1\n- a.c = 2", makeLines("a.b", "1", "a.c", "2")},
		"slashes":                               {"a/b = 1", makeLines("a.b", "1")},
		"a path":                                {"/proc/sys/a/b = 1", makeLines("a.b", "1")},
		"a dot in an interface's name":          {"net/ipv4/conf/eth0.100/x = 1", makeLines("net.ipv4.conf.eth0/100.x", "1")},
		"the same with dots":                    {"net.ipv4.conf.eth0/100.x = 1", makeLines("net.ipv4.conf.eth0/100.x", "1")},
		"a slash before a dot is no known key":  {"net/ipv4.tcp_rfc1337 = 1", makeLines("net.ipv4/tcp_rfc1337", "1")},
		"a comment after a value":               {"a.b = 1 # for shop\na.c = 2\t; too", makeLines("a.b", "1", "a.c", "2")},
		"no comment without a space before it":  {"a.b = 1#2", makeLines("a.b", "1#2")},
		"an equals sign in a value":             {"a.b = c=d", makeLines("a.b", "c=d")},
		"what is excluded from a pattern":       {"-a.b", makeLines("a.b", "")},
		"no key":                                {"= 1", makeLines("", "1")},
		"comments and blank lines set nothing":  {"# a.b = 1\n ; a.b = 1\n\n \t\n", nil},
		"nothing":                               {"", nil},
		"a comment in front counts no pattern":  {"#-a.b", nil},
		"a value that is a comment is no value": {"a.b = # 1", makeLines("a.b", "")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, sysctlconf.ParseFile("f", []byte(tt.text))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// makeLines returns lines of the file f, one after the other, of keys and values.
func makeLines(words ...string) (list []sysctlconf.Line) {
	for i := 0; i < len(words); i += 2 {
		list = append(list, sysctlconf.Line{File: "f", Number: i/2 + 1, Key: words[i], Value: words[i+1]})
	}
	return list
}

func TestConvert(t *testing.T) {
	tests := map[string]struct {
		text string
		want v1alpha1.LinuxSettings
		said []string
	}{
		"numbers in fields of fields": {"net.ipv4.tcp_keepalive_time=300\nnet.ipv4.tcp_keepalive_probes=3",
			v1alpha1.LinuxSettings{KeepAlive: v1alpha1.LinuxKeepAlive{TimeSeconds: new(int32(300)), Probes: new(int32(3))}}, nil},
		"reuse in words": {"net.ipv4.tcp_tw_reuse=2", v1alpha1.LinuxSettings{TimeWait: v1alpha1.LinuxTimeWait{Reuse: "Loopback"}}, nil},
		"a switch that has a number in its field": {"net.ipv4.tcp_syncookies=1", v1alpha1.LinuxSettings{SynCookies: new(int32(1))}, nil},
		"a range": {"net.ipv4.ip_local_port_range = 16384\t65535",
			v1alpha1.LinuxSettings{EphemeralPorts: &v1alpha1.EphemeralPorts{First: 16384, Last: 65535}}, nil},
		"a low range": {"net.ipv4.ip_local_port_range = 1024 65535",
			v1alpha1.LinuxSettings{EphemeralPorts: &v1alpha1.EphemeralPorts{First: 1024, Last: 65535, AllowLowPorts: true}},
			[]string{"f:1: kept net.ipv4.ip_local_port_range with allowLowPorts: services listen on ports below 16384, so first: 16384 is safer"}},
		"ports in any order":      {"net.ipv4.ip_local_reserved_ports = 9000-9100,8080", v1alpha1.LinuxSettings{ReservedPorts: []string{"8080", "9000-9100"}}, nil},
		"what only sysctls names": {"net.ipv4.tcp_rfc1337 = 1", v1alpha1.LinuxSettings{Sysctls: map[string]v1alpha1.SysctlValue{"net.ipv4.tcp_rfc1337": "1"}}, nil},
		"octal and hexadecimal, as the kernel reads them": {"net.ipv4.tcp_fin_timeout = 060\nnet.ipv4.tcp_retries2 = 0xA",
			v1alpha1.LinuxSettings{FinTimeoutSeconds: new(int32(48)), Sysctls: map[string]v1alpha1.SysctlValue{"net.ipv4.tcp_retries2": "10"}}, nil},
		"the last of a key": {"net.core.somaxconn=1024\nnet/core/somaxconn=2048", v1alpha1.LinuxSettings{Backlog: v1alpha1.LinuxBacklog{Accept: new(int32(2048))}},
			[]string{"f:1: dropped net.core.somaxconn: set again in f:2"}},
		"the last of a key, though it is wrong": {"net.core.somaxconn=1024\nnet.core.somaxconn=1", v1alpha1.LinuxSettings{},
			[]string{"f:1: dropped net.core.somaxconn: set again in f:2", `f:2: dropped net.core.somaxconn: "1": too small; allowed: 128 to 1048576 connections`}},
		"a value in quotes": {`net.ipv4.ip_local_port_range="32768 60999"`, v1alpha1.LinuxSettings{EphemeralPorts: &v1alpha1.EphemeralPorts{First: 32768, Last: 60999}},
			[]string{"f:1: kept net.ipv4.ip_local_port_range: the quotes are removed; sysctl rejects a value with quotes, so this line had no effect so far"}},
		"keys and values in quotes, as in TOML": {`"net.core.somaxconn" = "1024"`, v1alpha1.LinuxSettings{Backlog: v1alpha1.LinuxBacklog{Accept: new(int32(1024))}}, nil},
		"another name of today": {"net.nf_conntrack_max = 1000000", v1alpha1.LinuxSettings{Conntrack: v1alpha1.LinuxConntrack{Max: new(int32(1000000))}},
			[]string{"f:1: kept net.nf_conntrack_max: another name of net.netfilter.nf_conntrack_max"}},
		"an old name, alone": {"net.ipv4.netfilter.ip_conntrack_tcp_timeout_time_wait = 30", v1alpha1.LinuxSettings{Conntrack: v1alpha1.LinuxConntrack{TimeWaitSeconds: new(int32(30))}},
			[]string{"f:1: kept net.ipv4.netfilter.ip_conntrack_tcp_timeout_time_wait: a name of Linux 2.4 and 2.6, which present kernels ignore; now set as net.netfilter.nf_conntrack_tcp_timeout_time_wait"}},
		"an old name after today's, which counts": {"net.nf_conntrack_max = 100000\nnet.ipv4.ip_conntrack_max = 200000", v1alpha1.LinuxSettings{Conntrack: v1alpha1.LinuxConntrack{Max: new(int32(100000))}},
			[]string{"f:1: kept net.nf_conntrack_max: another name of net.netfilter.nf_conntrack_max", "f:2: dropped net.ipv4.ip_conntrack_max: a name of Linux 2.4 and 2.6, which present kernels ignore; set as net.nf_conntrack_max in f:1"}},
		"a name that never was": {"net.ipv6.ip_local_port_range = 1024 65535", v1alpha1.LinuxSettings{},
			[]string{"f:1: dropped net.ipv6.ip_local_port_range: not in Linux: net.ipv4.ip_local_port_range applies to IPv6, too; use ephemeralPorts"}},
		"the neighbour table": {"net.ipv4.neigh.default.gc_thresh3 = 8192", v1alpha1.LinuxSettings{Sysctls: map[string]v1alpha1.SysctlValue{"net.ipv4.neigh.default.gc_thresh3": "8192"}}, nil},
		"buckets that the kernel rounds": {"net.netfilter.nf_conntrack_buckets = 10000", v1alpha1.LinuxSettings{},
			[]string{`f:1: dropped net.netfilter.nf_conntrack_buckets: "10000": not a multiple of 8192; allowed: 8192 to 16777216 buckets, in multiples of 8192`}},
		"what was removed": {"net.ipv4.tcp_tw_recycle = 1", v1alpha1.LinuxSettings{},
			[]string{"f:1: dropped net.ipv4.tcp_tw_recycle: removed in Linux 4.12, breaks clients behind NAT; use timeWait.reuse"}},
		"what is none of ours": {"vm.swappiness = 10", v1alpha1.LinuxSettings{},
			[]string{"f:1: dropped vm.swappiness: unsupported; see docs/reference/settings.md for the supported settings"}},
		"a path out of the tree": {"net/ipv4/../../kernel/panic = 1", v1alpha1.LinuxSettings{},
			[]string{"f:1: dropped net.ipv4.//.//.kernel.panic: unsupported; see docs/reference/settings.md for the supported settings"}},
		"a pattern": {"net.ipv4.conf.*.rp_filter = 2", v1alpha1.LinuxSettings{}, []string{"f:1: dropped a pattern of keys, which is not supported: list each key"}},
		"no key":    {"= 1", v1alpha1.LinuxSettings{}, []string{"f:1: dropped a line without a key"}},
		"no value":  {"-net.core.somaxconn", v1alpha1.LinuxSettings{}, []string{"f:1: dropped net.core.somaxconn: no value"}},
		"no number": {"net.core.somaxconn = many", v1alpha1.LinuxSettings{},
			[]string{`f:1: dropped net.core.somaxconn: "many": not a whole number; allowed: 128 to 1048576 connections`}},
		"a narrow range": {"net.ipv4.ip_local_port_range = 60000 60998", v1alpha1.LinuxSettings{},
			[]string{`f:1: dropped net.ipv4.ip_local_port_range: "60000 60998": only 999 ports; allowed: FIRST LAST, from 1024 to 65535, at least 1000 ports`}},
		"more ranges than the API takes": {"net.ipv4.ip_local_reserved_ports = " + listOddPorts(65), v1alpha1.LinuxSettings{},
			[]string{"f:1: dropped net.ipv4.ip_local_reserved_ports: 65 ranges, but linux.reservedPorts accepts at most 64; merge some of them"}},
		"a key to steer the terminal": {"\x1b[2J\a = 1", v1alpha1.LinuxSettings{}, []string{"f:1: dropped a pattern of keys, which is not supported: list each key"}},
		"another":                     {"\x1bc\u009b = 1", v1alpha1.LinuxSettings{}, []string{"f:1: dropped \ufffdc\ufffd: unsupported; see docs/reference/settings.md for the supported settings"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := sysctlconf.ConvertLines(sysctlconf.ParseFile("f", []byte(tt.text)))
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			for _, r := range got.Messages {
				said = append(said, r.String())
			}
			if diff := cmp.Diff(tt.said, said, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(v1alpha1.NodeTuningSpec{Linux: tt.want}, mergeSpecs(t, got)); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
		})
	}
}

// mergeSpecs returns the spec of the node's own network.
func mergeSpecs(t *testing.T, r sysctlconf.Result) (spec v1alpha1.NodeTuningSpec) {
	t.Helper()
	for _, tuning := range r.Tunings {
		if tuning.Scope != (sysctlconf.Scope{}) {
			t.Errorf("a scope of pods: %+v", tuning.Scope)
		}
		spec = tuning.Spec
	}
	return spec
}

// listOddPorts returns n ports that don't touch.
func listOddPorts(n int) string {
	var ports []string
	for i := range n {
		ports = append(ports, fmt.Sprint(2*i+1001))
	}
	return strings.Join(ports, ",")
}

// FuzzConvert checks that every line that sets something is kept or reported as dropped, in
// a short message, and that the spec is not empty if a line is kept.
func FuzzConvert(f *testing.F) {
	for _, s := range []string{
		"", "net.ipv4.tcp_tw_reuse=1", "spec: {containers: [], securityContext: {sysctls: [{name: net.core.somaxconn, value: '1024'}]}}",
		"#!/bin/sh\nsysctl -w net.core.somaxconn=\"1024\" && echo 1 | tee /proc/sys/net/ipv4/tcp_rfc1337 <<<1 >>x", "a: |\n  sysctl -w b.c=1\n", "-net/ipv4/tcp_fin_timeout = 060 # c", "net.ipv4.ip_local_port_range=1024 65535\nnet.ipv4.ip_local_port_range=32768 60999",
		"net.ipv4.ip_local_reserved_ports = 5,1-3", "a.*=1\n=\n\xff=\x00", "net.ipv4.tcp_rfc1337=1\nnet.ipv4.tcp_tw_recycle=1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := sysctlconf.ParseFile("f", []byte(text))
		got, err := sysctlconf.ConvertLines(lines)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		dropped := 0
		for _, r := range got.Messages {
			if strings.HasPrefix(r.Text, "dropped ") {
				dropped++
			}
			if len(r.String()) > 1000 {
				t.Errorf("a remark of %d bytes", len(r.String()))
			}
		}
		if got.Kept+dropped != len(lines) {
			t.Errorf("%q: %d lines, %d kept, %d dropped", text, len(lines), got.Kept, dropped)
		}
		if len(got.Tunings) > got.Kept || len(got.Tunings) == 0 && got.Kept > 0 {
			t.Errorf("%q: %d kept, in %+v", text, got.Kept, got.Tunings)
		}
		for _, tuning := range got.Tunings {
			if len(settings.ReadSpec(settings.Linux, &tuning.Spec)) == 0 {
				t.Errorf("%q: an empty spec of %+v", text, tuning.Scope)
			}
		}
	})
}
