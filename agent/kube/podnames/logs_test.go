package podnames

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"
)

// directory is the kubelet's links, and counts how often they are read.
type directory struct {
	fstest.MapFS
	err          error
	reads, links int
	clock        time.Time
}

func (d *directory) Open(name string) (fs.File, error) {
	d.reads++
	if d.err != nil {
		return nil, d.err
	}
	return d.MapFS.Open(name)
}

func (d *directory) ReadLink(name string) (string, error) {
	d.links++
	return d.MapFS.ReadLink(name)
}

// linked is a directory with a link for each "namespace_name_uid".
func linked(pods ...string) *directory {
	d := &directory{MapFS: fstest.MapFS{}, clock: time.Date(2025, 11, 21, 3, 12, 0, 0, time.UTC)}
	d.start(pods...)
	return d
}

// start starts a container in each pod.
func (d *directory) start(pods ...string) {
	for _, p := range pods {
		entry, target := link(p, len(d.MapFS))
		d.MapFS[entry] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte(target)}
	}
}

// link is a link of the kubelet's to the log of a pod's nth container.
func link(directory string, n int) (entry, target string) {
	_, p, _ := parseEntry(directory)
	name := fmt.Sprintf("c%d", n)
	return fmt.Sprintf("%s_%s_%s-%064x.log", p.name, p.namespace, name, n), "/var/log/pods/" + directory + "/" + name + "/0.log"
}

func (d *directory) source() *logs {
	return &logs{dir: d, now: func() time.Time { return d.clock }}
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
	d := linked("shop_api_"+uid, "shop_api_"+uid, "shop_web_"+uid2)
	d.MapFS["lost+found"] = &fstest.MapFile{Mode: fs.ModeDir}
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
	d := linked("shop_api_"+uid, "shop_api_"+uid)
	l := d.source()
	expect(t, l, uid, "shop/api")
	d.start("shop_web_" + uid2)
	expect(t, l, uid2, "shop/web")
	if d.links != 3 {
		t.Errorf("%d links read, want each of 3 once", d.links)
	}
}

func TestOnlyLinksAndDirectoriesAreLookedAt(t *testing.T) {
	d := linked("shop_web_" + uid2)
	entry, target := link("shop_api_"+uid, 7)
	for _, mode := range []fs.FileMode{0, fs.ModeNamedPipe, fs.ModeSocket, fs.ModeDevice} {
		d.MapFS[fmt.Sprintf("shop_api-%d_%s", mode, uid)] = &fstest.MapFile{Mode: mode}
		d.MapFS[fmt.Sprint(mode, entry)] = &fstest.MapFile{Mode: mode, Data: []byte(target)}
	}
	l := d.source()
	expect(t, l, uid, "")
	if expect(t, l, uid2, "shop/web"); d.links != 1 {
		t.Errorf("%d links read", d.links)
	}
}

func TestALinkThatWasRefusedIsReadAgain(t *testing.T) {
	d := linked()
	entry, target := link("shop_api_"+uid, 0)
	d.MapFS[entry] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("../" + target)}
	l := d.source()
	expect(t, l, uid, "")
	d.MapFS[entry].Data = []byte(target)
	d.clock = d.clock.Add(readPause)
	expect(t, l, uid, "shop/api")
}

// The kubelet cuts long names, and so the container's ID.
func TestALinkWithANameThatWasCutIsReadAgain(t *testing.T) {
	d := linked()
	name := fmt.Sprintf("%0251d.log", 0)
	l := d.source()
	for i, uid := range []string{uid, uid2} {
		_, target := link("shop_api_"+uid, i)
		d.MapFS[name] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte(target)}
		expect(t, l, uid, "shop/api")
	}
}

func TestAChurnOfUnknownPodsDoesNotReadAtEachTick(t *testing.T) {
	d := linked()
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
	d.start("shop_api_" + uid)
	d.clock = d.clock.Add(readPause)
	expect(t, l, uid, "shop/api")
}

func TestAFailedReadingForgetsNothing(t *testing.T) {
	d := linked("shop_api_" + uid)
	l := d.source()
	expect(t, l, uid, "shop/api")
	d.err = errors.New("gone")
	expect(t, l, uid2, "")
	expect(t, l, uid, "shop/api")
}

func TestAPodThatIsGoneIsForgotten(t *testing.T) {
	d := linked("shop_api_" + uid)
	l := d.source()
	expect(t, l, uid, "shop/api")
	clear(d.MapFS)
	d.start("shop_web_" + uid2)
	expect(t, l, uid2, "shop/web")
	if len(l.pods) != 1 || len(l.known) != 1 {
		t.Errorf("kept %v of %v", l.pods, l.known)
	}
}

func TestAUIDWithTwoNamesHasNone(t *testing.T) {
	for entries := 2; entries <= 4; entries++ {
		d := linked("shop_web_" + uid2)
		for i := range entries {
			d.start(fmt.Sprintf("shop_api-%d_%s", i, uid))
		}
		l := d.source()
		expect(t, l, uid, "")
		expect(t, l, uid2, "shop/web")
	}
}

func TestLogsOfADirectory(t *testing.T) {
	root := t.TempDir()
	l := Logs(root).(*logs)
	expect(t, l, uid, "")
	entry, target := link("shop_api_"+uid, 0)
	if err := errors.Join(os.Symlink(target, filepath.Join(root, entry)), os.Mkdir(filepath.Join(root, "shop_web_"+uid2), 0o755)); err != nil {
		t.Fatal(err)
	}
	l.pause = time.Time{}
	expect(t, l, uid, "shop/api")
	expect(t, l, uid2, "shop/web")
}

// Of 250 pods of three containers each.
func BenchmarkRead(b *testing.B) {
	root := b.TempDir()
	for i := range 750 {
		entry, target := link(fmt.Sprintf("team-%d_api-5d8f7c9b4-x%dk2p_%08d%s", i/3%9, i/3, i/3, uid[8:]), i)
		if err := os.Symlink(target, filepath.Join(root, entry)); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			expectNobody(b, Logs(root))
		}
	})
	b.Run("again", func(b *testing.B) {
		l := Logs(root).(*logs)
		b.ReportAllocs()
		for b.Loop() {
			l.pause = time.Time{}
			expectNobody(b, l)
		}
	})
}

func expectNobody(b *testing.B, s Source) {
	if _, _, ok := s.Lookup(uid); ok {
		b.Fatal("found")
	}
}
