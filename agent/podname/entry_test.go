package podname

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	uid    = "3f2a9c1e-5b7d-4a10-9d57-7d1d2f0c6b11"
	uid2   = "99999999-5b7d-4a10-9d57-7d1d2f0c6b11"
	static = "0123456789abcdef0123456789abcdef"
)

func TestParseEntry(t *testing.T) {
	label, name := strings.Repeat("n", 63), strings.Repeat("p", 253)
	tests := map[string]struct {
		entry           string
		uid, ns, podded string
		ok              bool
	}{
		"A pod":                                {"shop_api-7f_" + uid, uid, "shop", "api-7f", true},
		"A static pod":                         {"kube-system_etcd-node-a_" + static, static, "kube-system", "etcd-node-a", true},
		"A name with dots":                     {"shop_web.v1.example_" + uid, uid, "shop", "web.v1.example", true},
		"The longest names":                    {label + "_" + name + "_" + uid, uid, label, name, true},
		"A namespace that is too long":         {label + "n_a_" + uid, "", "", "", false},
		"A name that is too long":              {"shop_" + name + "p_" + uid, "", "", "", false},
		"The form before Kubernetes 1.14":      {uid, "", "", "", false},
		"A part too many":                      {"shop_a_b_" + uid, "", "", "", false},
		"A UID in capitals":                    {"shop_a_" + strings.ToUpper(uid), "", "", "", false},
		"A UID with dashes in the wrong place": {"shop_a_3f2a9c1e5-b7d-4a10-9d57-7d1d2f0c6b11", "", "", "", false},
		"A hash that is too short":             {"shop_a_" + static[1:], "", "", "", false},
		"A dot in the namespace":               {"sh.op_a_" + uid, "", "", "", false},
		"A name in capitals":                   {"shop_API_" + uid, "", "", "", false},
		"An escape in the name":                {"shop_a\x1b[2J_" + uid, "", "", "", false},
		"A newline after the name":             {"shop_a\n_" + uid, "", "", "", false},
		"A way out of the directory":           {"shop_.._" + uid, "", "", "", false},
		"No name":                              {"shop__" + uid, "", "", "", false},
		"No namespace":                         {"_a_" + uid, "", "", "", false},
		"Nothing":                              {"", "", "", "", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			uid, p, ok := parseEntry(test.entry)
			if uid != test.uid || p != (pod{test.ns, test.podded}) || ok != test.ok {
				t.Errorf("got %q %+v %v", uid, p, ok)
			}
		})
	}
}

// What is accepted is what the kubelet makes of a valid name, and nothing else.
func FuzzParseEntry(f *testing.F) {
	f.Add("shop_api-7f_" + uid)
	f.Add("kube-system_etcd_" + static)
	f.Add("a_b.c_" + uid + "_")
	f.Add("shop_a\n_" + uid)
	f.Fuzz(func(t *testing.T, entry string) {
		uid, p, ok := parseEntry(entry)
		if !ok {
			if uid != "" || p != (pod{}) {
				t.Errorf("%q was refused and gave %q %+v", entry, uid, p)
			}
			return
		}
		if p.namespace+"_"+p.name+"_"+uid != entry {
			t.Errorf("%q gave %q %+v", entry, uid, p)
		}
		if len(validation.IsDNS1123Label(p.namespace)) > 0 || len(validation.IsDNS1123Subdomain(p.name)) > 0 {
			t.Errorf("%q gave names that no API server takes", entry)
		}
		if len(uid) != 32 && len(uid) != 36 || strings.Trim(uid, "0123456789abcdef-") != "" {
			t.Errorf("%q gave UID %q", entry, uid)
		}
	})
}
