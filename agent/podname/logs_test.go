package podname

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// directory is log directories that count how often they are read.
type directory struct {
	names []string
	err   error
	reads int
	clock time.Time
}

func (d *directory) source() *logs {
	d.clock = time.Date(2025, 11, 21, 3, 12, 0, 0, time.UTC)
	return &logs{
		list: func() ([]string, error) { d.reads++; return d.names, d.err },
		now:  func() time.Time { return d.clock },
	}
}

func expect(t *testing.T, s Source, uid, want string) {
	t.Helper()
	got := ""
	if namespace, name, ok := s.Lookup(uid); ok {
		got = namespace + "/" + name
	}
	if got != want {
		t.Errorf("%s is %q, want %q", uid, got, want)
	}
}

func TestLogsReadOnceForPodsThatAreThere(t *testing.T) {
	d := directory{names: []string{"shop_api_" + uid, "shop_web_" + uid2, "lost+found"}}
	l := d.source()
	for range 3 {
		expect(t, l, uid, "shop/api")
		expect(t, l, uid2, "shop/web")
		d.clock = d.clock.Add(time.Hour)
	}
	if d.reads != 1 {
		t.Errorf("%d readings", d.reads)
	}
}

func TestANewPodIsKnownAtOnce(t *testing.T) {
	d := directory{names: []string{"shop_api_" + uid}}
	l := d.source()
	expect(t, l, uid, "shop/api")
	d.names = append(d.names, "shop_web_"+uid2)
	expect(t, l, uid2, "shop/web")
}

func TestAChurnOfUnknownPodsDoesNotReadAtEachTick(t *testing.T) {
	d := directory{}
	l := d.source()
	const ticks = 60
	for tick := range ticks {
		for pod := range 30 {
			expect(t, l, fmt.Sprintf("%08d-5b7d-4a10-9d57-7d1d2f0c6b11", tick*100+pod), "")
		}
		d.clock = d.clock.Add(10 * time.Second)
	}
	if d.reads != ticks/2 {
		t.Errorf("%d readings in %d ticks", d.reads, ticks)
	}
	d.names = []string{"shop_api_" + uid}
	d.clock = d.clock.Add(readPause)
	expect(t, l, uid, "shop/api")
}

func TestAFailedReadingForgetsNothing(t *testing.T) {
	d := directory{names: []string{"shop_api_" + uid}}
	l := d.source()
	expect(t, l, uid, "shop/api")
	d.names, d.err = nil, errors.New("gone")
	expect(t, l, uid2, "")
	expect(t, l, uid, "shop/api")
}

func TestAPodThatIsGoneIsForgotten(t *testing.T) {
	d := directory{names: []string{"shop_api_" + uid}}
	l := d.source()
	expect(t, l, uid, "shop/api")
	d.names = []string{"shop_web_" + uid2}
	expect(t, l, uid2, "shop/web")
	if len(l.pods) != 1 {
		t.Errorf("kept %v", l.pods)
	}
}

func TestAUIDWithTwoNamesHasNone(t *testing.T) {
	for entries := 2; entries <= 4; entries++ {
		names := []string{"shop_web_" + uid2}
		for i := range entries {
			names = append(names, fmt.Sprintf("shop_api-%d_%s", i, uid))
		}
		l := (&directory{names: names}).source()
		expect(t, l, uid, "")
		expect(t, l, uid2, "shop/web")
	}
}

func TestLogsOfADirectory(t *testing.T) {
	root := t.TempDir()
	l := Logs(root).(*logs)
	expect(t, l, uid, "")
	if err := os.Mkdir(filepath.Join(root, "shop_api_"+uid), 0o755); err != nil {
		t.Fatal(err)
	}
	l.pause = time.Time{}
	expect(t, l, uid, "shop/api")
}

func BenchmarkReadOf250Pods(b *testing.B) {
	root := b.TempDir()
	for i := range 250 {
		if err := os.Mkdir(filepath.Join(root, fmt.Sprintf("team-%d_api-5d8f7c9b4-x%dk2p_%08d%s", i%9, i, i, uid[8:])), 0o755); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		expectNobody(b, Logs(root))
	}
}

func expectNobody(b *testing.B, s Source) {
	if _, _, ok := s.Lookup(uid); ok {
		b.Fatal("found")
	}
}
