package podnames

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"portreeve.io/portreeve/agent/socket"
)

func TestResolveMode(t *testing.T) {
	here, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		mode, logs, want string
		err              error
	}{
		"auto with the directory":            {"auto", here, "logs", nil},
		"auto without it":                    {"auto", here + "/none", "uid", nil},
		"auto where it is a file":            {"auto", file, "uid", nil},
		"auto where it was not mounted":      {"auto", "", "uid", nil},
		"logs, whether there or not":         {"logs", "", "logs", nil},
		"api":                                {"api", here, "api", nil},
		"uid, though the directory is there": {"uid", here, "uid", nil},
		"An unknown mode":                    {"Logs", here, "", ErrMode},
		"No mode":                            {"", here, "", ErrMode},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ResolveMode(test.mode, test.logs)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestOpenSource(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "shop_api_"+uid), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		mode string
		o    Options
		want string // the name of uid
		err  string
	}{
		"logs":                    {"logs", Options{LogDir: root}, "shop/api", ""},
		"auto":                    {"auto", Options{LogDir: root}, "shop/api", ""},
		"uid":                     {"uid", Options{LogDir: root}, "", ""},
		"a missing log directory": {"logs", Options{LogDir: root + "/none"}, "", "pod names from the kubelet's logs: open " + root + "/none: no such file or directory; mount the node's /var/log/containers there, read-only, where the agent's user may list it, or choose another mode"},
		"api without a node":      {"api", Options{Config: &rest.Config{}}, "", "the node's name is empty: set NODE_NAME from the pod's spec.nodeName"},
		"api without a server":    {"api", Options{Node: "a"}, "", "pod names from the API: no API server configured"},
		"An unknown mode":         {"kubelet", Options{}, "", `pod names "kubelet": must be auto, logs, api or uid`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := OpenSource(t.Context(), test.mode, test.o)
			if err != nil || test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("got %v, want %q", err, test.err)
				}
				return
			}
			expectName(t, s, uid, test.want)
		})
	}
}

func TestFillNamesNamesThePodsOfASample(t *testing.T) {
	s := socket.Sample{Networks: []socket.Network{
		{Owner: socket.Owner{Kind: socket.OwnerHost}},
		{Owner: socket.Owner{Kind: socket.OwnerPod, PodUID: uid}},
		{Owner: socket.Owner{Kind: socket.OwnerPod, PodUID: uid2}},
		{Owner: socket.Owner{Kind: socket.OwnerPod}},
		{Owner: socket.Owner{Kind: socket.OwnerProcess, PodUID: uid}}, // never
	}}
	FillNames(&s, newLogDir("shop_api_"+uid).newSource())
	var got []string
	for _, n := range s.Networks {
		got = append(got, strings.Trim(n.Owner.Namespace+"/"+n.Owner.Pod, "/"))
	}
	if diff := cmp.Diff([]string{"", "shop/api", "", "", ""}, got); diff != "" {
		t.Error(diff)
	}
}
