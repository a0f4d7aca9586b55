package tuning

import (
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/agent/tuning/sysctl"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/testutil/netnstest"
)

// asTuner names the environment variable that makes the test binary apply alternatingSpecs
// to its own network namespace until it is killed. Its value is the folder of the journal.
const asTuner = "PORTREEVE_TEST_AS_TUNER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asTuner); dir != "" {
		t := newDiskTuner(dir)
		for i := 0; ; i++ {
			t.UpdateSpec(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: alternatingSpecs[i%len(alternatingSpecs)]}})
			t.runCycle()
		}
	}
	os.Exit(m.Run())
}

var alternatingSpecs = [][]v1alpha1.Setting{
	{newSetting(rangeKey, "16384 65535"), newSetting(settings.KeyTCPTWReuse, "1"), newSetting(settings.KeyTCPFinTimeout, "30")},
	{newSetting(rangeKey, "20000 65535"), newSetting(reserveKey, "40000-40010"), newSetting(settings.KeyTCPFinTimeout, "20")},
	{},
}

// newDiskTuner returns a Tuner for the calling thread's namespace, with a journal in dir.
func newDiskTuner(dir string) *Tuner {
	return New(Options{
		Disk: func() (journal.Disk, error) { return journal.OpenDir(dir) },
		Host: sysctl.Store{Root: "/proc/sys"}, Boot: "this", Kernel: "here", Allow: allowed,
		Protect: []plan.Protected{{Ports: plan.NodePorts, Owner: "node ports"}},
		Log:     slog.New(slog.DiscardHandler),
	})
}

// readSettings returns the settings that the tests write.
func readSettings(ns *netnstest.Netns) map[string]string {
	got := map[string]string{}
	ns.Do(func() {
		for _, key := range []string{rangeKey, reserveKey, settings.KeyTCPTWReuse, settings.KeyTCPFinTimeout} {
			got[key] = sysctl.Store{Root: "/proc/sys"}.Read(key).Value
		}
	})
	return got
}

func TestAKilledProcessLosesNoOriginal(t *testing.T) {
	ns := netnstest.New(t)
	ns.WriteSysctl(reserveKey, "8080,9000-9001")
	ns.WriteSysctl(settings.KeyTCPFinTimeout, "55")
	before := readSettings(ns)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	caught := 0
	for i := range 40 {
		dir := t.TempDir()
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), asTuner+"="+dir)
		ns.Start(cmd)
		waitUntil(t, func() bool { return !maps.Equal(readSettings(ns), before) })
		pause := rand.N(20 * time.Millisecond) // anywhere in its steps
		for end := time.Now().Add(pause); time.Now().Before(end); {
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
		if !maps.Equal(readSettings(ns), before) {
			caught++
		}
		var list []v1alpha1.SettingStatus
		ns.Do(func() {
			o := newDiskTuner(dir).o
			list, _, err = RestoreAll(o, false)
		})
		if got := readSettings(ns); err != nil || !maps.Equal(got, before) {
			t.Fatalf("try %d, killed after %v: %v, want %v; %v %v", i, pause, got, before, list, err)
		}
	}
	if caught < 10 {
		t.Errorf("only %d of 40 processes were killed while they enforced something", caught)
	}
	t.Logf("%d of 40 were killed while they enforced something", caught)
}

func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !done(); {
		if time.Now().After(end) {
			t.Fatal("no change within 2 minutes")
		}
	}
}

// TestAFullDiskChangesNothing fills a file system of 64 kB.
func TestAFullDiskChangesNothing(t *testing.T) {
	ns := netnstest.New(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		t.Skipf("needs to mount: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	before := readSettings(ns)
	tuner := newDiskTuner(dir)
	step := func(settings []v1alpha1.Setting) map[string]string {
		tuner.UpdateSpec(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: settings}})
		ns.Do(tuner.runCycle)
		return readSettings(ns)
	}
	applied := step(alternatingSpecs[0])
	if maps.Equal(applied, before) {
		t.Fatalf("nothing is enforced: %+v", tuner.ListSettings())
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 64<<10), 0o600); err == nil {
		t.Fatal("the disk can't be filled")
	}
	if got := step(alternatingSpecs[1]); !maps.Equal(got, applied) {
		t.Errorf("written with a full disk: %v, before %v", got, applied)
	}
	for _, s := range tuner.ListSettings() {
		if s.State != v1alpha1.SettingFailed || !strings.Contains(s.Message, "no space left on device") {
			t.Errorf("%+v", s)
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if got := step([]v1alpha1.Setting{}); !maps.Equal(got, before) {
		t.Errorf("restored: %v, want %v; %+v", got, before, tuner.ListSettings())
	}
}

// TestASettingIsAppliedAtOnce measures the time from a spec to its sysctls, through a real
// journal and its fsyncs.
func TestASettingIsAppliedAtOnce(t *testing.T) {
	ns := netnstest.New(t)
	tuner := newDiskTuner(t.TempDir())
	defer tuner.Close()
	var took []time.Duration
	for i := range 100 {
		start := time.Now()
		tuner.UpdateSpec(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: alternatingSpecs[i%2]}})
		ns.Do(tuner.runCycle)
		took = append(took, time.Since(start))
		for _, s := range tuner.ListSettings() {
			if s.State != v1alpha1.SettingApplied && s.State != v1alpha1.SettingReleased {
				t.Fatalf("%+v", s)
			}
		}
	}
	slices.Sort(took)
	if took[98] > 2*time.Second {
		t.Errorf("p99 %v", took[98])
	}
	t.Logf("p50 %v, p99 %v", took[49], took[98])
}
