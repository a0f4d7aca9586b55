package sysctlconf_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/tuning/sysctlconf"
)

const container = "it was set for one container only, and is now set on the nodes; add spec.pods to set it in pods, too"

func TestParseScriptsAndManifests(t *testing.T) {
	line := func(number int, key, value string) sysctlconf.Line {
		return sysctlconf.Line{File: "f", Number: number, Key: key, Value: value}
	}
	in := func(s sysctlconf.Scope, l sysctlconf.Line) sysctlconf.Line {
		s.IsPod = true
		l.Scope = s
		return l
	}
	noted := func(note string, l sysctlconf.Line) sysctlconf.Line {
		l.Note = note
		return l
	}
	web := sysctlconf.Scope{Namespace: "shop", Name: "web", Labels: "app=web,tier=front"}
	for name, tt := range map[string]struct {
		text string
		want []sysctlconf.Line
	}{
		"sysctl -w in a script": {"#!/bin/sh\nset -e # or not\nsudo /sbin/sysctl -w net.core.somaxconn=1024 \\\n  net.ipv4.ip_local_port_range=\"1024 65000\"; echo done=1\nexit 0\n",
			[]sysctlconf.Line{line(3, "net.core.somaxconn", "1024"), line(3, "net.ipv4.ip_local_port_range", "1024 65000")}},
		"several commands in a line": {"sysctl -q -w 'net.core.somaxconn=1' && sysctl net.ipv4.tcp_rfc1337=1|| true",
			[]sysctlconf.Line{line(1, "net.core.somaxconn", "1"), line(1, "net.ipv4.tcp_rfc1337", "1")}},
		"a value with quotes inside": {`sysctl -w net.ipv4.ip_local_port_range='"1024 65000"'`, []sysctlconf.Line{line(1, "net.ipv4.ip_local_port_range", "1024 65000")}},
		"reading is not setting":     {"#!/bin/sh\nsysctl net.core.somaxconn\nsysctl -p --system\ncat /proc/sys/net/core/somaxconn > /tmp/x\n", nil},
		"echo into a file": {"echo \"1024\t65535\" > /proc/sys/net/ipv4/ip_local_port_range\necho 1 >> /proc/sys/net/ipv4/tcp_tw_reuse\n",
			[]sysctlconf.Line{line(1, "net.ipv4.ip_local_port_range", "1024\t65535"), line(2, "net.ipv4.tcp_tw_reuse", "1")}},
		"printf, tee and a text in place": {"printf '1024\\t65535\\n' >/proc/sys/net/ipv4/ip_local_port_range\necho -n 15 | sudo tee /proc/sys/net/ipv4/tcp_fin_timeout\ntee /proc/sys/net/ipv4/tcp_tw_reuse <<<1",
			[]sysctlconf.Line{line(1, "net.ipv4.ip_local_port_range", "1024 65535"), line(2, "net.ipv4.tcp_fin_timeout", "15"), line(3, "net.ipv4.tcp_tw_reuse", "1")}},
		"a file that a script writes": {"cat >/etc/sysctl.d/1.conf <<EOF\nnet.core.somaxconn = 1024\nPATH=/bin\nEOF\nsysctl --system\nsysctl -w vm.swappiness=1",
			[]sysctlconf.Line{line(2, "net.core.somaxconn", "1024"), line(6, "vm.swappiness", "1")}},
		"docker run": {"docker run --sysctl net.core.somaxconn=1024 --sysctl=net.ipv4.tcp_syncookies=0 nginx",
			[]sysctlconf.Line{line(1, "net.core.somaxconn", "1024"), line(1, "net.ipv4.tcp_syncookies", "0")}},
		"a variable": {"sysctl -w net.core.somaxconn=${BACKLOG:-1024}", []sysctlconf.Line{line(1, "net.core.somaxconn", "${BACKLOG:-1024}")}},

		"a pod's securityContext": {`
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {tier: front, app: web, pod-template-hash: "7f"}}
spec:
  securityContext:
    sysctls:
    - name: net.ipv4.ip_local_port_range
      value: "1024 65000"
    - {name: net.ipv4.tcp_tw_reuse, value: "1"}
  containers: [{name: web, env: [{name: A, value: b}]}]
`, []sysctlconf.Line{in(web, line(8, "net.ipv4.ip_local_port_range", "1024 65000")), in(web, line(10, "net.ipv4.tcp_tw_reuse", "1"))}},
		"an init container of a Deployment, as JSON": {`{"kind":"Deployment","metadata":{"name":"web","namespace":"shop"},"spec":{"template":{"metadata":{"labels":{"app":"web","tier":"front"}},"spec":{
"initContainers":[{"command":["sysctl"],"args":["-w","net.core.somaxconn=1024"]},{"command":["sh","-c","sysctl -w net.ipv4.tcp_rfc1337=1\nnsenter -t 1 -n -- sysctl -w net.core.somaxconn=4096"]}],"containers":[]}}}}`,
			[]sysctlconf.Line{in(web, line(2, "net.core.somaxconn", "1024")), in(web, line(2, "net.ipv4.tcp_rfc1337", "1")), line(3, "net.core.somaxconn", "4096")}},
		"a DaemonSet in the node's network": {"kind: DaemonSet\nspec:\n  template:\n    metadata: {labels: {app: tune}}\n    spec:\n      hostNetwork: true\n      containers:\n      - command:\n        - sh\n        - -c\n        - |\n          set -e\n          sysctl -w net.core.somaxconn=1024\n          sleep infinity\n",
			[]sysctlconf.Line{line(13, "net.core.somaxconn", "1024")}},
		"a ConfigMap with a sysctl file": {"kind: ConfigMap\ndata:\n  99.conf: |\n    # comment\n    net.core.somaxconn = 1024\n    vm.swappiness=1\n",
			[]sysctlconf.Line{line(5, "net.core.somaxconn", "1024"), line(6, "vm.swappiness", "1")}},
		"a part of a Compose file": {"    sysctls:\n      - net.ipv4.ip_local_port_range=1024 65000\n", []sysctlconf.Line{line(2, "net.ipv4.ip_local_port_range", "1024 65000")}},
		"a Compose file": {"services:\n  web:\n    image: nginx\n    sysctls:\n      net.core.somaxconn: 1024\n",
			[]sysctlconf.Line{noted(container, line(5, "net.core.somaxconn", "1024"))}},
		"nodes of Talos and of AKS": {"machine:\n  sysctls:\n    net.core.somaxconn: \"1024\"\n---\nlinuxOSConfig:\n  sysctls: {netIpv4TcpTwReuse: true, netIpv4IpLocalPortRange: 32000 60000}\n",
			[]sysctlconf.Line{line(3, "net.core.somaxconn", "1024"), line(6, "net.ipv4.tcp_tw_reuse", "1"), line(6, "net.ipv4.ip_local_port_range", "32000 60000")}},
		"a task of Ansible":         {"- sysctl:\n    name: net.core.somaxconn\n    value: '1024'\n", []sysctlconf.Line{line(2, "net.core.somaxconn", "1024")}},
		"an object without sysctls": {"kind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, sysctlconf.ParseFile("f", []byte(tt.text))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPodsOfAWorkloadBecomeOneNodeTuning(t *testing.T) {
	const list = `{kind: List, items: [
{metadata: {name: web-1, namespace: shop, labels: {app: web, pod-template-hash: a}}, spec: {containers: [], securityContext: {sysctls: [{name: net.core.somaxconn, value: "1024"}]}}},
{metadata: {name: web-2, namespace: shop, labels: {app: web, pod-template-hash: b}}, spec: {containers: [], securityContext: {sysctls: [{name: net.core.somaxconn, value: "2048"}]}}},
{metadata: {name: db, namespace: shop, labels: {app: db}}, spec: {containers: [], securityContext: {sysctls: [{name: net.core.somaxconn, value: "4096"}]}}}]}`
	got, err := sysctlconf.ConvertLines(sysctlconf.ParseFile("f", []byte(list)))
	if err != nil || len(got.Tunings) != 2 || got.Kept != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, want := range []int32{2048, 4096} {
		if s := got.Tunings[i].Spec; *s.Linux.Backlog.Accept != want || s.Pods.PodSelector.MatchLabels["app"] == "" {
			t.Errorf("%+v", s)
		}
	}
}
