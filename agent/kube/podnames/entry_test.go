package podnames

import (
	"path"
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
		"A parent directory as the name":       {"shop_.._" + uid, "", "", "", false},
		"No name":                              {"shop__" + uid, "", "", "", false},
		"No namespace":                         {"_a_" + uid, "", "", "", false},
		"Nothing":                              {"", "", "", "", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			uid, p, ok := parseEntry(test.entry)
			if uid != test.uid || p != (podName{test.ns, test.podded}) || ok != test.ok {
				t.Errorf("got %q %+v %v", uid, p, ok)
			}
		})
	}
}

// Only directory names that the kubelet creates for valid names are accepted.
func FuzzParseEntry(f *testing.F) {
	f.Add("shop_api-7f_" + uid)
	f.Add("kube-system_etcd_" + static)
	f.Add("a_b.c_" + uid + "_")
	f.Add("shop_a\n_" + uid)
	f.Fuzz(func(t *testing.T, entry string) {
		uid, p, ok := parseEntry(entry)
		if !ok {
			if uid != "" || p != (podName{}) {
				t.Errorf("%q was refused and gave %q %+v", entry, uid, p)
			}
			return
		}
		if p.namespace+"_"+p.name+"_"+uid != entry {
			t.Errorf("%q gave %q %+v", entry, uid, p)
		}
		if len(validation.IsDNS1123Label(p.namespace)) > 0 || len(validation.IsDNS1123Subdomain(p.name)) > 0 {
			t.Errorf("%q gave names that the API server rejects", entry)
		}
		if len(uid) != 32 && len(uid) != 36 || strings.Trim(uid, "0123456789abcdef-") != "" {
			t.Errorf("%q gave UID %q", entry, uid)
		}
	})
}

func TestParseLinkTarget(t *testing.T) {
	const entry = "shop_api-7f_" + uid
	deep := strings.Repeat("/pods", (maxTargetLength-len("/"+entry+"/app/0.log"))/len("/pods"))
	tests := map[string]struct {
		target      string
		uid, podded string
	}{
		"A pod's container":                 {"/var/log/pods/" + entry + "/app/0.log", uid, "api-7f"},
		"A container that was restarted":    {"/var/log/pods/" + entry + "/app/117.log", uid, "api-7f"},
		"A static pod":                      {"/var/log/pods/shop_etcd_" + static + "/etcd/0.log", static, "etcd"},
		"Another podLogsDir":                {"/data/log pods/" + entry + "/app/0.log", uid, "api-7f"},
		"The root as podLogsDir":            {"/" + entry + "/app/0.log", uid, "api-7f"},
		"The longest path":                  {deep + "/" + entry + "/app/0.log", uid, "api-7f"},
		"A path that is too long":           {deep + "/pods/" + entry + "/app/0.log", "", ""},
		"Relative":                          {"var/log/pods/" + entry + "/app/0.log", "", ""},
		"Relative, upwards":                 {"../pods/" + entry + "/app/0.log", "", ""},
		"Upwards on the way":                {"/var/log/../pods/" + entry + "/app/0.log", "", ""},
		"Upwards from the pod":              {"/var/log/pods/" + entry + "/../0.log", "", ""},
		"A dot for a container":             {"/var/log/pods/" + entry + "/./0.log", "", ""},
		"No container's name":               {"/var/log/pods/" + entry + "//0.log", "", ""},
		"A NUL":                             {"/var/log/pods\x00/" + entry + "/app/0.log", "", ""},
		"An escape":                         {"/var/\x1b[2J/" + entry + "/app/0.log", "", ""},
		"Letters of other languages":        {"/var/lög/" + entry + "/app/0.log", "", ""},
		"A level too few":                   {"/var/log/pods/" + entry + "/0.log", "", ""},
		"A level too many":                  {"/var/log/pods/" + entry + "/app/old/0.log", "", ""},
		"The directory":                     {"/var/log/pods/" + entry, "", ""},
		"An invalid container name":         {"/var/log/pods/" + entry + "/App_1/0.log", "", ""},
		"A container name that is too long": {"/var/log/pods/" + entry + "/" + strings.Repeat("a", 64) + "/0.log", "", ""},
		"A rotated log":                     {"/var/log/pods/" + entry + "/app/0.log.20251121-031200", "", ""},
		"A log without a restart count":     {"/var/log/pods/" + entry + "/app/app.log", "", ""},
		"A log with an empty restart count": {"/var/log/pods/" + entry + "/app/.log", "", ""},
		"A directory":                       {"/var/log/pods/" + entry + "/app/0.log/", "", ""},
		"A pod without a UID":               {"/var/log/pods/shop_api-7f/app/0.log", "", ""},
		"The form before Kubernetes 1.14":   {"/var/log/pods/" + uid + "/app/0.log", "", ""},
		"A log of Docker's own":             {"/var/lib/docker/containers/" + static + "/" + static + "-json.log", "", ""},
		"Slashes only":                      {"///", "", ""},
		"Nothing but a container and a log": {"/app/0.log", "", ""},
		"Nothing":                           {"", "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			uid, p, ok := parseLinkTarget(test.target)
			want := podName{}
			if test.podded != "" {
				want = podName{"shop", test.podded}
			}
			if uid != test.uid || p != want || ok != (test.uid != "") {
				t.Errorf("got %q %+v %v", uid, p, ok)
			}
		})
	}
}

// Only paths that the kubelet can have created are accepted. The pod is that of the path's
// log directory.
func FuzzParseLinkTarget(f *testing.F) {
	f.Add("/var/log/pods/shop_api-7f_" + uid + "/app/0.log")
	f.Add("/var/log/pods/kube-system_etcd_" + static + "/etcd/12.log")
	f.Add("/../shop_api_" + uid + "/app/0.log")
	f.Add("/var/log/pods/shop_api_" + uid + "/app\x00/0.log")
	f.Fuzz(func(t *testing.T, target string) {
		got, p, ok := parseLinkTarget(target)
		if !ok {
			if got != "" || p != (podName{}) {
				t.Errorf("%q was refused and gave %q %+v", target, got, p)
			}
			return
		}
		wantUID, want, _ := parseEntry(path.Base(path.Dir(path.Dir(target))))
		if got != wantUID || p != want || got == "" {
			t.Errorf("%q gave %q %+v, and its directory %q %+v", target, got, p, wantUID, want)
		}
		if target[0] != '/' || target != path.Clean(target) || len(target) > 4095 || strings.ContainsAny(target, "\x00\n\x1b") {
			t.Errorf("%q is not a path that the kubelet creates", target)
		}
	})
}
