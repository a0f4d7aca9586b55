package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"portreeve.io/portreeve/api/v1alpha1"
)

// childVariable makes this test binary start the API, say so, and wait to be killed.
const childVariable = "PORTREEVE_TESTENV_CHILD"

func TestMain(m *testing.M) { Main(m) }

var account = types.NamespacedName{Namespace: "testenv", Name: "someone"}

func TestATokenNamesWhatItIsBoundTo(t *testing.T) {
	env := Start(t)
	tests := map[string]struct {
		token string
		node  string
	}{
		"a pod's token names the pod's node":  {env.Token(t, account, "node-a"), "node-a"},
		"a second token of the pod names it":  {env.Token(t, account, "node-a"), "node-a"},
		"a node's token names the node":       {env.NodeToken(t, account, "node-b"), "node-b"},
		"a token bound to nothing names none": {env.Token(t, account, ""), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			review := &authenticationv1.SelfSubjectReview{}
			if err := env.ClientFor(t, tt.token).Create(t.Context(), review); err != nil {
				t.Fatal(err)
			}
			user := review.Status.UserInfo
			if want := "system:serviceaccount:testenv:someone"; user.Username != want {
				t.Errorf("user is %q, want %q", user.Username, want)
			}
			got := strings.Join(user.Extra["authentication.kubernetes.io/node-name"], ",")
			if got != tt.node {
				t.Errorf("node is %q, want %q", got, tt.node)
			}
		})
	}
}

func TestAServiceAccountHasNoRightsUnlessGiven(t *testing.T) {
	env := Start(t)
	c := env.ClientFor(t, env.Token(t, account, "node-a"))
	if err := c.List(t.Context(), &corev1.NodeList{}); !apierrors.IsForbidden(err) {
		t.Errorf("list nodes: %v, want Forbidden", err)
	}
}

func TestTheCRDsAreInstalled(t *testing.T) {
	env := Start(t)
	pp := &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: "testenv-crd"}}
	if err := env.Client.Create(t.Context(), pp); err != nil {
		t.Fatal(err)
	}
	if err := env.Client.Delete(t.Context(), pp); err != nil {
		t.Fatal(err)
	}
}

func TestManifestsOfAFolderAreAppliedNamespacesFirst(t *testing.T) {
	env := Start(t)
	env.Apply(t, "internal/testutil/testenv/testdata")
	for _, name := range []string{"first", "second"} {
		got := &corev1.ConfigMap{}
		if err := env.Client.Get(t.Context(), types.NamespacedName{Namespace: "testenv-manifests", Name: name}, got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"key": name}, got.Data); diff != "" {
			t.Errorf("data (-want +got):\n%s", diff)
		}
	}
}

func TestAFolderWithoutManifestsIsAnError(t *testing.T) {
	for name, path := range map[string]string{"no YAML in it": ".", "no such folder": "testdata/none"} {
		t.Run(name, func(t *testing.T) {
			if path == "." {
				path = t.TempDir()
			}
			if objects, err := readManifests(path); err == nil {
				t.Errorf("read %d objects, want an error", len(objects))
			}
		})
	}
}

func TestNothingIsLeftOfATestThatIsKilled(t *testing.T) {
	Start(t) // skips where the programs aren't built
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip("needs setpriv (util-linux)")
	}
	child := exec.Command(os.Args[0], "-test.run=^TestChild$")
	child.Env = append(os.Environ(), childVariable+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(os.TempDir(), dirPrefix+strconv.Itoa(child.Process.Pid))
	buf := make([]byte, 5)
	_, readErr := out.Read(buf)
	started := programsOf(t, dir)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	if readErr != nil || string(buf) != "ready" || len(started) != 2 {
		t.Fatalf("child said %q (%v) with programs %q, want kube-apiserver and etcd", buf, readErr, started)
	}
	for deadline := time.Now().Add(2 * time.Minute); len(programsOf(t, dir)) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still running: %q", programsOf(t, dir))
		}
	}
	if _, err := makeDir(filepath.Dir(dir)); err == nil {
		t.Error("makeDir made a folder that this process has already")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", dir, err)
	}
}

// TestChild is no test: TestNothingIsLeftOfATestThatIsKilled starts and kills it.
func TestChild(t *testing.T) {
	if os.Getenv(childVariable) == "" {
		t.Skip("only as a child")
	}
	Start(t)
	_, _ = os.Stdout.WriteString("ready")
	select {}
}

// programsOf are the command lines of the processes that were told to use dir.
func programsOf(t *testing.T, dir string) (programs []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no processes in /proc (%v)", err)
	}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err == nil && strings.Contains(string(data), dir+"/") {
			programs = append(programs, strings.ReplaceAll(string(data), "\x00", " "))
		}
	}
	return programs
}
