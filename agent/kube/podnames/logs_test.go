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

// fakeLogDir has the kubelet's links, and counts how often they are read.
type fakeLogDir struct {
	fstest.MapFS
	err          error
	reads, links int
	clock        time.Time
}

func (d *fakeLogDir) Open(name string) (fs.File, error) {
	d.reads++
	if d.err != nil {
		return nil, d.err
	}
	return d.MapFS.Open(name)
}

func (d *fakeLogDir) ReadLink(name string) (string, error) {
	d.links++
	return d.MapFS.ReadLink(name)
}

// newLogDir returns a directory with a link for each "namespace_name_uid".
func newLogDir(pods ...string) *fakeLogDir {
	d := &fakeLogDir{MapFS: fstest.MapFS{}, clock: time.Date(2025, 11, 21, 3, 12, 0, 0, time.UTC)}
	d.addContainers(pods...)
	return d
}

// addContainers adds a container to each pod.
func (d *fakeLogDir) addContainers(pods ...string) {
	for _, p := range pods {
		entry, target := makeLink(p, len(d.MapFS))
		d.MapFS[entry] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte(target)}
	}
}

// makeLink returns the kubelet's link to the log of a pod's nth container.
func makeLink(directory string, n int) (entry, target string) {
	_, p, _ := parseEntry(directory)
	name := fmt.Sprintf("c%d", n)
	return fmt.Sprintf("%s_%s_%s-%064x.log", p.name, p.namespace, name, n), "/var/log/pods/" + directory + "/" + name + "/0.log"
}

func (d *fakeLogDir) newSource() *logSource {
	return &logSource{dir: d, now: func() time.Time { return d.clock }}
}

func expectName(t *testing.T, s Source, uid, want string) {
	t.Helper()
	got := ""
	if namespace, name, ok := s.LookupPod(uid); ok {
		got = namespace + "/" + name
	}
	if got != want {
		t.Errorf("%s is %q, want %q", uid, got, want)
	}
}

func TestTheDirectoryIsReadOnceForKnownPods(t *testing.T) {
	d := newLogDir("shop_api_"+uid, "shop_api_"+uid, "shop_web_"+uid2)
	d.MapFS["lost+found"] = &fstest.MapFile{Mode: fs.ModeDir}
	l := d.newSource()
	for range 3 {
		expectName(t, l, uid, "shop/api")
		expectName(t, l, uid2, "shop/web")
		d.clock = d.clock.Add(time.Hour)
	}
	if d.reads != 1 {
		t.Errorf("%d reads", d.reads)
	}
}

func TestANewPodIsKnownAtOnce(t *testing.T) {
	d := newLogDir("shop_api_"+uid, "shop_api_"+uid)
	l := d.newSource()
	expectName(t, l, uid, "shop/api")
	d.addContainers("shop_web_" + uid2)
	expectName(t, l, uid2, "shop/web")
	if d.links != 3 {
		t.Errorf("%d links read, want each of 3 once", d.links)
	}
}

func TestOnlyLinksAndDirectoriesAreParsed(t *testing.T) {
	d := newLogDir("shop_web_" + uid2)
	entry, target := makeLink("shop_api_"+uid, 7)
	for _, mode := range []fs.FileMode{0, fs.ModeNamedPipe, fs.ModeSocket, fs.ModeDevice} {
		d.MapFS[fmt.Sprintf("shop_api-%d_%s", mode, uid)] = &fstest.MapFile{Mode: mode}
		d.MapFS[fmt.Sprint(mode, entry)] = &fstest.MapFile{Mode: mode, Data: []byte(target)}
	}
	l := d.newSource()
	expectName(t, l, uid, "")
	if expectName(t, l, uid2, "shop/web"); d.links != 1 {
		t.Errorf("%d links read", d.links)
	}
}

func TestARejectedLinkIsReadAgain(t *testing.T) {
	d := newLogDir()
	entry, target := makeLink("shop_api_"+uid, 0)
	d.MapFS[entry] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("../" + target)}
	l := d.newSource()
	expectName(t, l, uid, "")
	d.MapFS[entry].Data = []byte(target)
	d.clock = d.clock.Add(readPause)
	expectName(t, l, uid, "shop/api")
}

// The kubelet truncates long names, and with them the container's ID.
func TestALinkWithATruncatedNameIsReadAgain(t *testing.T) {
	d := newLogDir()
	name := fmt.Sprintf("%0251d.log", 0)
	l := d.newSource()
	for i, uid := range []string{uid, uid2} {
		_, target := makeLink("shop_api_"+uid, i)
		d.MapFS[name] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte(target)}
		expectName(t, l, uid, "shop/api")
	}
}

func TestUnknownPodsDoNotCauseAReadAtEachTick(t *testing.T) {
	d := newLogDir()
	l := d.newSource()
	const ticks = 60
	for tick := range ticks {
		for pod := range 30 {
			expectName(t, l, fmt.Sprintf("%08d-5b7d-4a10-9d57-7d1d2f0c6b11", tick*100+pod), "")
		}
		d.clock = d.clock.Add(10 * time.Second)
	}
	if d.reads != ticks/2 {
		t.Errorf("%d reads in %d ticks", d.reads, ticks)
	}
	d.addContainers("shop_api_" + uid)
	d.clock = d.clock.Add(readPause)
	expectName(t, l, uid, "shop/api")
}

func TestAFailedReadKeepsTheKnownPods(t *testing.T) {
	d := newLogDir("shop_api_" + uid)
	l := d.newSource()
	expectName(t, l, uid, "shop/api")
	d.err = errors.New("gone")
	expectName(t, l, uid2, "")
	expectName(t, l, uid, "shop/api")
}

func TestADeletedPodIsRemoved(t *testing.T) {
	d := newLogDir("shop_api_" + uid)
	l := d.newSource()
	expectName(t, l, uid, "shop/api")
	clear(d.MapFS)
	d.addContainers("shop_web_" + uid2)
	expectName(t, l, uid2, "shop/web")
	if len(l.pods) != 1 || len(l.entries) != 1 {
		t.Errorf("kept %v of %v", l.pods, l.entries)
	}
}

func TestAUIDWithTwoNamesIsIgnored(t *testing.T) {
	for entries := 2; entries <= 4; entries++ {
		d := newLogDir("shop_web_" + uid2)
		for i := range entries {
			d.addContainers(fmt.Sprintf("shop_api-%d_%s", i, uid))
		}
		l := d.newSource()
		expectName(t, l, uid, "")
		expectName(t, l, uid2, "shop/web")
	}
}

func TestLogSourceReadsADirectory(t *testing.T) {
	root := t.TempDir()
	l := NewLogSource(root).(*logSource)
	expectName(t, l, uid, "")
	entry, target := makeLink("shop_api_"+uid, 0)
	if err := errors.Join(os.Symlink(target, filepath.Join(root, entry)), os.Mkdir(filepath.Join(root, "shop_web_"+uid2), 0o755)); err != nil {
		t.Fatal(err)
	}
	l.nextRead = time.Time{}
	expectName(t, l, uid, "shop/api")
	expectName(t, l, uid2, "shop/web")
}

// BenchmarkRead reads the links of 250 pods with three containers each.
func BenchmarkRead(b *testing.B) {
	root := b.TempDir()
	for i := range 750 {
		entry, target := makeLink(fmt.Sprintf("team-%d_api-5d8f7c9b4-x%dk2p_%08d%s", i/3%9, i/3, i/3, uid[8:]), i)
		if err := os.Symlink(target, filepath.Join(root, entry)); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			expectUnknown(b, NewLogSource(root))
		}
	})
	b.Run("again", func(b *testing.B) {
		l := NewLogSource(root).(*logSource)
		b.ReportAllocs()
		for b.Loop() {
			l.nextRead = time.Time{}
			expectUnknown(b, l)
		}
	})
}

func expectUnknown(b *testing.B, s Source) {
	if _, _, ok := s.LookupPod(uid); ok {
		b.Fatal("found")
	}
}
