package tuning

import (
	"fmt"
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
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/testutil/netnstest"
)

// asTuner makes the test binary apply two specs in turns to its own network namespace,
// with the journal in the folder named, until it is killed.
const asTuner = "PORTREEVE_TEST_AS_TUNER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asTuner); dir != "" {
		t := onDisk(dir)
		for i := 0; ; i++ {
			t.Object(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: turns[i%len(turns)]}})
			t.cycle()
		}
	}
	os.Exit(m.Run())
}

var turns = [][]v1alpha1.Setting{
	{wishOf(rangeKey, "16384 65535"), wishOf("net.ipv4.tcp_tw_reuse", "1"), wishOf("net.ipv4.tcp_fin_timeout", "30")},
	{wishOf(rangeKey, "20000 65535"), wishOf(reserveKey, "40000-40010"), wishOf("net.ipv4.tcp_fin_timeout", "20")},
	{},
}

// onDisk is a Tuner of the calling thread's namespace and of a real folder.
func onDisk(dir string) *Tuner {
	return New(Options{
		Disk: func() (journal.Disk, error) { return journal.OpenDir(dir) },
		Host: Files{Root: "/proc/sys"}, Boot: "this", Kernel: "here", Allow: allowed,
		Protect: []plan.Protected{{Ports: plan.NodePorts, Whose: "node ports"}},
		Log:     slog.New(slog.DiscardHandler),
	})
}

// standing are the settings that the tests write.
func standing(ns *netnstest.Netns) map[string]string {
	got := map[string]string{}
	ns.Do(func() {
		for _, key := range []string{rangeKey, reserveKey, "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_fin_timeout"} {
			got[key] = Files{Root: "/proc/sys"}.Read(key).Value
		}
	})
	return got
}

func TestAProcessThatIsKilledLosesNoOriginal(t *testing.T) {
	ns := netnstest.New(t)
	ns.WriteSysctl(reserveKey, "8080,9000-9001")
	ns.WriteSysctl("net.ipv4.tcp_fin_timeout", "55")
	before := standing(ns)
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
		await(t, func() bool { return !maps.Equal(standing(ns), before) })
		pause := rand.N(20 * time.Millisecond) // anywhere in its steps
		for end := time.Now().Add(pause); time.Now().Before(end); {
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed, as wanted
		if !maps.Equal(standing(ns), before) {
			caught++
		}
		var list []v1alpha1.SettingStatus
		ns.Do(func() {
			o := onDisk(dir).o
			list, _, err = Restore(o, false)
		})
		if got := standing(ns); err != nil || !maps.Equal(got, before) {
			t.Fatalf("try %d, killed after %v: %v, want %v; %v %v", i, pause, got, before, list, err)
		}
	}
	if caught < 10 {
		t.Errorf("only %d of 40 processes were killed while they held something", caught)
	}
	t.Logf("%d of 40 were killed while they held something", caught)
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !done(); {
		if time.Now().After(end) {
			t.Fatal("not in time")
		}
	}
}

// TestAFullDiskChangesNothing has a file system of 64 kB that other files fill.
func TestAFullDiskChangesNothing(t *testing.T) {
	ns := netnstest.New(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs to mount: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	before := standing(ns)
	tuner := onDisk(dir)
	step := func(settings []v1alpha1.Setting) map[string]string {
		tuner.Object(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: settings}})
		ns.Do(tuner.cycle)
		return standing(ns)
	}
	held := step(turns[0])
	if maps.Equal(held, before) {
		t.Fatalf("nothing is held: %+v", tuner.Settings())
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 64<<10), 0o600); err == nil {
		t.Fatal("the disk can't be filled")
	}
	if got := step(turns[1]); !maps.Equal(got, held) {
		t.Errorf("written with a full disk: %v, before %v", got, held)
	}
	for _, s := range tuner.Settings() {
		if s.State != v1alpha1.SettingFailed || !strings.Contains(s.Message, "no space left on device") {
			t.Errorf("%+v", s)
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if got := step([]v1alpha1.Setting{}); !maps.Equal(got, before) {
		t.Errorf("given back: %v, want %v; %+v", got, before, tuner.Settings())
	}
}

func TestKeysThatAreTricksHaveNoFile(t *testing.T) {
	root := t.TempDir()
	secret := filepath.Join(root, "kernel")
	if err := os.WriteFile(secret, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := Files{Root: filepath.Join(root, "net")}
	for name, key := range map[string]string{
		"Up and out":               "../kernel",
		"Up and out in the key":    "net.ipv4.../../../kernel",
		"With slashes":             "net/ipv4/tcp_tw_reuse",
		"An absolute path":         "/proc/sys/kernel/panic",
		"Dots for slashes":         "net.ipv4..tcp_tw_reuse",
		"A NUL in it":              "net.ipv4.tcp_tw_reuse\x00.x",
		"A line's end in it":       "net.ipv4.tcp_tw_reuse\n",
		"Very long":                "net." + strings.Repeat("x", 1<<20),
		"Not a setting of net":     "kernel.panic",
		"Not one of the catalogue": "net.ipv4.ip_forward",
		"One of Windows":           "dynamicport tcp",
		"Nothing":                  "",
	} {
		t.Run(name, func(t *testing.T) {
			if r := f.Read(key); r.Err == nil {
				t.Errorf("read as %+v", r)
			}
			if err := f.Write(plan.Write{Key: key, Value: "1"}); err == nil || len(err.Error()) > 300 {
				t.Errorf("written: %.400v", err)
			}
		})
	}
	if raw, err := os.ReadFile(secret); err != nil || string(raw) != "untouched" {
		t.Errorf("%s %v", raw, err)
	}
}

func TestALongListOfPortsIsWrittenAndReadWhole(t *testing.T) {
	ns := netnstest.New(t)
	var list []settings.Ports
	for p := 1; p < 65535; p += 7 {
		list = append(list, settings.Ports{First: p, Last: p})
	}
	want := settings.FormatPorts(list)
	ns.Do(func() {
		f := Files{Root: "/proc/sys"}
		for _, value := range []string{want, ""} {
			if err := f.Write(plan.Write{Key: reserveKey, Value: value}); err != nil {
				t.Errorf("%d bytes: %v", len(value), err)
			}
			if r := f.Read(reserveKey); r.Value != value {
				t.Errorf("%d bytes are read as %d: %s", len(value), len(r.Value), fmt.Sprint(r.Err))
			}
		}
	})
}

// TestAWishStandsAtOnce takes the time from a spec to its sysctls, through a real
// journal and its fsyncs.
func TestAWishStandsAtOnce(t *testing.T) {
	ns := netnstest.New(t)
	tuner := onDisk(t.TempDir())
	defer tuner.Close()
	var took []time.Duration
	for i := range 100 {
		start := time.Now()
		tuner.Object(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Settings: turns[i%2]}})
		ns.Do(tuner.cycle)
		took = append(took, time.Since(start))
		for _, s := range tuner.Settings() {
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
