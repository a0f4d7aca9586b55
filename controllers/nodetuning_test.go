package controllers_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

func TestAnInvalidNodeTuningIsRejectedWithASentence(t *testing.T) {
	env := startAPI(t)
	tests := map[string]struct{ spec, refusal string }{
		"an empty spec":                           {`{}`, ""},
		"a typical spec":                          {`{"nodeSelector":{},"linux":{"ephemeralPorts":{"first":16384,"last":65535},"timeWait":{"reuse":"All"}},"pods":{},"rollout":{"maxUnavailable":"10%"}}`, ""},
		"a range upside down":                     {formatRange(61000, 20000, ""), "ephemeralPorts: first 61000 must not be greater than last 20000"},
		"a range of privileged ports":             {formatRange(80, 65535, ""), "ephemeralPorts: first 80 is below 1024, and these ports are privileged: use 16384 or higher"},
		"privileged ports with low ports allowed": {formatRange(1023, 65535, `,"allowLowPorts":true`), "ephemeralPorts: first 1023 is below 1024"},
		"a range of 999 ports":                    {formatRange(20000, 20998, ""), "ephemeralPorts: 20000-20998 has only 999 ports: at least 1,000 are required"},
		"a range of 1,000 ports":                  {formatRange(20000, 20999, ""), ""},
		"a low range":                             {formatRange(10000, 65535, ""), "ephemeralPorts: first 10000 is below 16384, where services often listen: use 16384 or higher, or set allowLowPorts: true if no service listens in the range"},
		"a low range, allowed":                    {formatRange(1024, 65535, `,"allowLowPorts":true`), ""},
		"a range above the last port":             {formatRange(20000, 65536, ""), "spec.linux.ephemeralPorts.last in body should be less than or equal to 65535"},
		"half a range":                            {`{"linux":{"ephemeralPorts":{"first":20000}}}`, "spec.linux.ephemeralPorts.last: Required value"},
		"reserved ports":                          {`{"linux":{"reservedPorts":["8080","30000-32767"]}}`, ""},
		"reserved ports upside down":              {`{"linux":{"reservedPorts":["8080","32767-30000"]}}`, `reservedPorts: "32767-30000" is not a port or port range: use a port such as 8080 or a range such as 30000-32767`},
		"a reserved port with a name":             {`{"linux":{"reservedPorts":["http"]}}`, `reservedPorts: "http" is not a port`},
		"a reserved port above 65535":             {`{"linux":{"reservedPorts":["70000"]}}`, `reservedPorts: "70000" is not a port`},
		"a reserved port with a leading zero":     {`{"linux":{"reservedPorts":["010"]}}`, `reservedPorts: "010" is not a port`},
		"a sysctl that Linux removed":             {`{"linux":{"sysctls":{"net.ipv4.tcp_tw_recycle":"1"}}}`, "sysctls: net.ipv4.tcp_tw_recycle: removed in Linux 4.12, breaks clients behind NAT; use timeWait.reuse"},
		"a sysctl that has a field":               {`{"linux":{"sysctls":{"net.ipv4.tcp_tw_reuse":"1"}}}`, "sysctls: net.ipv4.tcp_tw_reuse: use the field linux.timeWait.reuse instead"},
		"a sysctl that is not supported":          {`{"linux":{"sysctls":{"kernel.panic":"1"}}}`, "sysctls: unsupported: kernel.panic; see docs/reference/settings.md for the supported names"},
		"a sysctl path outside net":               {`{"linux":{"sysctls":{"net/../kernel/panic":"1"}}}`, "sysctls: unsupported: net/../kernel/panic; see docs/reference/settings.md for the supported names"},
		"a sysctl that is not a number":           {`{"linux":{"sysctls":{"net.ipv4.tcp_retries2":"many"}}}`, `sysctls: net.ipv4.tcp_retries2: "many": not a whole number from 3 to 255`},
		"a sysctl out of its range":               {`{"linux":{"sysctls":{"net.ipv4.tcp_retries2":"2"}}}`, `sysctls: net.ipv4.tcp_retries2: "2": not a whole number from 3 to 255`},
		"a sysctl with a leading zero":            {`{"linux":{"sysctls":{"net.ipv4.tcp_retries2":"010"}}}`, `sysctls: net.ipv4.tcp_retries2: "010": not a whole number from 3 to 255`},
		"a sysctl whose value has a line break":   {`{"linux":{"sysctls":{"net.ipv4.tcp_retries2":"8\n"}}}`, "sysctls: net.ipv4.tcp_retries2: not a whole number from 3 to 255"},
		"two sysctls, one of them unsupported":    {`{"linux":{"sysctls":{"net.ipv4.tcp_retries2":"8","vm.swappiness":"1"}}}`, "sysctls: unsupported: vm.swappiness;"},
		"a sysctl of vendor kernels":              {`{"linux":{"sysctls":{"net.ipv4.tcp_tw_timeout":"1"}}}`, "sysctls: net.ipv4.tcp_tw_timeout: not in Linux, only in some vendors' kernels; use timeWait.reuse"},
		"a sysctl name with a line break":         {`{"linux":{"sysctls":{"net.ipv4\n.tcp_rfc1337":"1"}}}`, "sysctls: unsupported name; see docs/reference/settings.md for the supported names"},
		"a sysctl with a NUL":                     {`{"linux":{"sysctls":{"net.ipv4.tcp_rfc1337\u0000":"1"}}}`, "sysctls: unsupported: net.ipv4.tcp_rfc1337\x00"},
		"a sysctl name that is too long":          {`{"linux":{"sysctls":{"net.ipv4.` + strings.Repeat("x", 100_000) + `":"1"}}}`, "sysctls: "},
		"an unknown TIME_WAIT reuse":              {`{"linux":{"timeWait":{"reuse":"Always"}}}`, `spec.linux.timeWait.reuse: Unsupported value: "Always": supported values: "Off", "All", "Loopback"`},
		"an unknown field":                        {`{"linux":{"ephemeralPort":{"first":1,"last":2}}}`, `unknown field "spec.linux.ephemeralPort"`},
		"a block above the last port":             {`{"windows":{"dynamicPorts":{"tcp":{"start":33000,"count":32537}}}}`, "dynamicPorts: 32537 ports from 33000 end at 65536, which is above 65535: decrease start or count"},
		"a block smaller than Windows allows":     {`{"windows":{"dynamicPorts":{"tcp":{"start":33000,"count":254}}}}`, "spec.windows.dynamicPorts.tcp.count in body should be greater than or equal to 255"},
		"a block from 1024":                       {`{"windows":{"dynamicPorts":{"tcp":{"start":1024,"count":64511}}}}`, "dynamicPorts: start 1024 is below 1025, the lowest that Microsoft documents: use 1025 or higher, or set allowLowPorts: true"},
		"a block from 1024 on purpose":            {`{"windows":{"dynamicPorts":{"tcp":{"start":1024,"count":64511,"allowLowPorts":true}}}}`, ""},
		"a block from 1023":                       {`{"windows":{"dynamicPorts":{"tcp":{"start":1023,"count":64511,"allowLowPorts":true}}}}`, "spec.windows.dynamicPorts.tcp.start in body should be greater than or equal to 1024"},
		"an auto-reuse range":                     {`{"windows":{"autoReusePorts":{"start":40000,"count":2000}}}`, ""},
		"an auto-reuse range above the last port": {`{"windows":{"autoReusePorts":{"start":64000,"count":2000}}}`, "autoReusePorts: 2000 ports from 64000 end at 65999, which is above 65535: decrease start or count"},
		"an auto-reuse range that is too small":   {`{"windows":{"autoReusePorts":{"start":64000,"count":10}}}`, "spec.windows.autoReusePorts.count in body should be greater than or equal to 255"},
		"ports excluded for one protocol":         {`{"windows":{"excludedPorts":["65330/udp","30000-32767/tcp/ipv4","5357/ipv6"]}}`, ""},
		"ports excluded for another protocol":     {`{"windows":{"excludedPorts":["65330/sctp"]}}`, `excludedPorts: "65330/sctp" is not a port or port range: use a port such as 8080 or a range such as 30000-32767, optionally followed by /tcp or /udp and by /ipv4 or /ipv6`},
		"excluded ports upside down":              {`{"windows":{"excludedPorts":["90-80/udp"]}}`, `excludedPorts: "90-80/udp" is not a port or port range`},
		"buckets that the kernel rounds":          {`{"linux":{"sysctls":{"net.netfilter.nf_conntrack_buckets":"10000"}}}`, `sysctls: net.netfilter.nf_conntrack_buckets: "10000": not a whole number from 8192 to 16777216 that is a multiple of 8192`},
		"buckets in whole pages":                  {`{"linux":{"sysctls":{"net.netfilter.nf_conntrack_buckets":"65536","net.ipv4.neigh.default.gc_thresh3":"8192"}}}`, ""},
		"a rollout of no nodes":                   {`{"rollout":{"maxUnavailable":0}}`, "maxUnavailable must be a number of nodes of at least 1, or a percentage from 1% to 100%"},
		"a rollout of 0 percent":                  {`{"rollout":{"maxUnavailable":"0%"}}`, "maxUnavailable must be a number of nodes"},
		"a rollout in words":                      {`{"rollout":{"maxUnavailable":"half"}}`, "maxUnavailable must be a number of nodes"},
		"thresholds upside down":                  {`{"thresholds":{"warningPercent":90}}`, "warningPercent (50 unless set) must not be above criticalPercent (85 unless set)"},
		"an unknown mode":                         {`{"mode":"Maybe"}`, `Unsupported value: "Maybe"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { checkAnswer(t, env, tt.spec, tt.refusal) })
	}
}

// TestTheCRDAndTheCatalogueAgree compares the CRD's bounds with those of internal/settings.
// Otherwise differences would only show on the nodes.
func TestTheCRDAndTheCatalogueAgree(t *testing.T) {
	env := startAPI(t)
	compared := 0
	for _, s := range settings.All() {
		v, whole := s.Value.(settings.Integer)
		if !whole {
			continue
		}
		compared++
		t.Run(s.Key, func(t *testing.T) {
			for value, good := range map[int64]bool{v.Min: true, v.Max: true, v.Min - 1: false, v.Max + 1: false} {
				err := createTuning(t, env, formatSpecWith(t, s, value))
				if good && err != nil {
					t.Errorf("the catalogue accepts %d, the CRD does not: %v", value, err)
				}
				if !good && !apierrors.IsInvalid(err) {
					t.Errorf("the catalogue rejects %d, but the CRD returns %v", value, err)
				}
			}
		})
	}
	if compared < 20 {
		t.Errorf("only %d settings were compared", compared)
	}
}

func formatRange(first, last int, more string) string {
	return fmt.Sprintf(`{"linux":{"ephemeralPorts":{"first":%d,"last":%d%s}}}`, first, last, more)
}

// formatSpecWith returns a spec that sets s to value.
func formatSpecWith(t *testing.T, s settings.Setting, value int64) string {
	t.Helper()
	var spec any = value
	path := strings.Split(s.Field, ".")
	if s.Field == "" {
		spec, path = map[string]any{s.Key: strconv.FormatInt(value, 10)}, []string{"linux", "sysctls"}
	}
	for _, step := range slices.Backward(path) {
		spec = map[string]any{step: spec}
	}
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func checkAnswer(t *testing.T, env *testenv.Env, spec, refusal string) {
	t.Helper()
	err := createTuning(t, env, spec)
	if refusal == "" && err != nil || refusal != "" && (err == nil || !strings.Contains(err.Error(), refusal)) {
		t.Errorf("%v\nwant %q", err, refusal)
	}
}

// createTuning creates a NodeTuning with that spec as a dry run, as kubectl apply does.
func createTuning(t *testing.T, env *testenv.Env, spec string) error {
	t.Helper()
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "portreeve.io/v1alpha1", "kind": "NodeTuning"}}
	var body map[string]any
	if err := json.Unmarshal([]byte(spec), &body); err != nil {
		t.Fatal(err)
	}
	maps.Copy(u.Object, map[string]any{"spec": body})
	u.SetName("asked")
	return env.Client.Create(t.Context(), u, client.DryRunAll, client.FieldValidation("Strict"))
}
