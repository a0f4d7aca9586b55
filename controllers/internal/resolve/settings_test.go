package resolve_test

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/resolve"
	"portreeve.io/portreeve/internal/settings"
)

func TestEveryFieldBecomesASettingThatTheCatalogueTakes(t *testing.T) {
	full := makeTuning("full", func(t *v1alpha1.NodeTuning) {
		t.Spec.Linux.EphemeralPorts = &v1alpha1.EphemeralPorts{First: 16384, Last: 65535}
		t.Spec.Linux.ReservedPorts = []string{"30000-32767", "8080"}
		t.Spec.Linux.TimeWait.Reuse = "All"
		t.Spec.Linux.Sysctls = map[string]v1alpha1.SysctlValue{"net.ipv4.tcp_retries2": "8"}
		t.Spec.Windows.DynamicPorts = v1alpha1.WindowsDynamicPorts{
			TCP: &v1alpha1.PortBlock{Start: 33000, Count: 32536}, UDP: &v1alpha1.PortBlock{Start: 33000, Count: 32536}}
		t.Spec.Windows.ExcludedPorts = []string{"30000-32767"}
		t.Spec.Windows.AutoReusePorts = &v1alpha1.AutoReusePorts{Start: 40000, Count: 20000}
		t.Spec.Windows.StrictTimeWaitSeqCheck = new(true)
		number := int32(9)
		fillNumbers(reflect.ValueOf(&t.Spec.Linux).Elem(), number)
		fillNumbers(reflect.ValueOf(&t.Spec.Windows).Elem(), number)
	})
	want := map[string]string{
		"net.ipv4.ip_local_port_range": "16384 65535", "net.ipv4.ip_local_reserved_ports": "8080,30000-32767",
		"net.ipv4.tcp_tw_reuse": "1", "net.ipv4.tcp_retries2": "8",
		"dynamicport tcp": "33000 32536", "dynamicport udp": "33000 32536", "excludedportrange": "30000-32767", "AutoReusePortRange": "40000 20000",
		`SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\StrictTimeWaitSeqCheck`: "1",
	}
	got := map[string]string{}
	for _, os := range []settings.OS{settings.Linux, settings.Windows} {
		for _, s := range resolve.ListSettings(os, &full) {
			got[s.Key] = s.Value
		}
	}
	for _, s := range settings.All() {
		value, ok := got[s.Key]
		switch {
		case s.Field != "" && !ok:
			t.Errorf("%s: the field %s makes no setting", s.Key, s.Field)
		case !ok || want[s.Key] != "":
		case value != "9":
			t.Errorf("%s: %q, want 9", s.Key, value)
		}
	}
	for key, value := range want {
		if diff := cmp.Diff(value, got[key]); diff != "" {
			t.Errorf("%s: %s", key, diff)
		}
	}
}

// fillNumbers sets every number of v, however deep, that nothing has set.
func fillNumbers(v reflect.Value, n int32) {
	for _, f := range v.Fields() {
		switch {
		case f.Kind() == reflect.Struct:
			fillNumbers(f, n)
		case f.Kind() == reflect.Pointer && f.IsNil() && f.Type().Elem().Kind() == reflect.Int32:
			f.Set(reflect.New(f.Type().Elem()))
			f.Elem().SetInt(int64(n))
		case f.Kind() == reflect.Pointer && f.IsNil() && f.Type().Elem().Kind() == reflect.Int64:
			f.Set(reflect.New(f.Type().Elem()))
			f.Elem().SetInt(int64(n))
		}
	}
}

func TestAnEmptyListOfPortsIsASettingAndAnAbsentOneIsNone(t *testing.T) {
	for name, test := range map[string]struct {
		ports []string
		want  int
	}{"Absent": {nil, 0}, "Empty": {[]string{}, 1}} {
		t.Run(name, func(t *testing.T) {
			a := makeTuning("a", func(t *v1alpha1.NodeTuning) { t.Spec.Linux.ReservedPorts = test.ports })
			if got := resolve.ListSettings(settings.Linux, &a); len(got) != test.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestTheSameSelectorsMakeTheSameID(t *testing.T) {
	id := func(change func(*v1alpha1.NodeTuning)) string {
		a := makeTuning("a", withFinTimeout(30), change)
		s := resolve.ListSettings(settings.Linux, &a)
		return s[len(s)-1].ID
	}
	absent, empty, some := id(withPods), id(func(t *v1alpha1.NodeTuning) {
		t.Spec.Pods = &v1alpha1.PodScope{PodSelector: selectRole("")}
	}), id(func(t *v1alpha1.NodeTuning) { t.Spec.Pods = &v1alpha1.PodScope{PodSelector: selectRole("web")} })
	if absent != empty || absent == some {
		t.Errorf("absent %s, empty %s, some %s", absent, empty, some)
	}
}

func selectRole(role string) *metav1.LabelSelector {
	if role == "" {
		return &metav1.LabelSelector{}
	}
	return &metav1.LabelSelector{MatchLabels: map[string]string{"role": role}}
}
