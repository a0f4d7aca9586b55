package podnames

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

const (
	// maxEntries bounds a reading: far above the containers of any node.
	maxEntries = 20000
	// readPause is how long a UID that the directory doesn't have keeps it from
	// being read again: longer than a tick, so that UIDs which come and go without
	// a name (nested clusters have them) cost no reading per tick.
	readPause = 15 * time.Second
	// cutName is where the kubelet cuts a link's name (ext4MaxFileNameLen,
	// pkg/kubelet/kuberuntime/legacy.go). Without the whole of the container's ID
	// the next pod of that name can have the same link.
	cutName = 255
)

// logs is the Source made of log directories.
type logs struct {
	dir fs.FS
	now func() time.Time

	mu    sync.Mutex
	known map[string]logged // by entry
	pods  map[string]pod    // by UID
	pause time.Time         // no reading before
}

// logged is the pod of an entry.
type logged struct {
	uid string
	pod
}

// Logs knows pods by the kubelet's links to the logs of containers, of which it
// reads where they point to and follows none. The kubelet makes a link when it
// has started a container (startContainer, pkg/kubelet/kuberuntime/kuberuntime_container.go):
// a pod is known only once its first container, init containers included, has
// started, and until the last of them is removed. root may also have the
// directories that the links point into, as /var/log/pods has.
//
// root is read only when a UID is asked for that isn't known. While one isn't,
// that is every 15 s, so a name can come so much later than its link.
func Logs(root string) Source {
	return &logs{dir: os.DirFS(root), now: time.Now}
}

func (l *logs) Lookup(uid string) (namespace, name string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.pods[uid]
	if !ok && !l.now().Before(l.pause) {
		p, ok = l.read(uid)
	}
	return p.namespace, p.name, ok
}

// read reads the directory for the sake of uid. What was known before stays
// when that fails.
func (l *logs) read(uid string) (pod, bool) {
	if found, err := list(l.dir); err == nil {
		l.known = l.parse(found)
		l.pods = byUID(l.known)
	}
	p, ok := l.pods[uid]
	if !ok {
		l.pause = l.now().Add(readPause)
	}
	return p, ok
}

// parse is the pods of entries. An entry that is known is not looked at again.
func (l *logs) parse(found []fs.DirEntry) map[string]logged {
	pods := make(map[string]logged, len(found))
	for _, e := range found {
		p, ok := l.known[e.Name()]
		if !ok || len(e.Name()) >= cutName {
			p.uid, p.pod, ok = l.look(e)
		}
		if ok {
			pods[e.Name()] = p
		}
	}
	return pods
}

// look is the pod of one entry.
func (l *logs) look(e fs.DirEntry) (uid string, p pod, ok bool) {
	switch e.Type() {
	case fs.ModeDir:
		return parseEntry(e.Name())
	case fs.ModeSymlink:
		if target, err := fs.ReadLink(l.dir, e.Name()); err == nil { // else it is gone
			return parseLink(target)
		}
	}
	return "", pod{}, false
}

// byUID is the pods of a directory. A UID with two names belongs to neither.
func byUID(known map[string]logged) map[string]pod {
	pods := make(map[string]pod, len(known))
	for _, e := range known {
		if p, twice := pods[e.uid]; twice && p != e.pod {
			e.pod = pod{}
		}
		pods[e.uid] = e.pod
	}
	for uid, p := range pods {
		if p == (pod{}) {
			delete(pods, uid)
		}
	}
	return pods
}

// list is the entries of a directory.
func list(dir fs.FS) ([]fs.DirEntry, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return entries(d, maxEntries)
}

// entries is up to limit entries of an open directory; none is no error.
func entries(d fs.ReadDirFile, limit int) ([]fs.DirEntry, error) {
	found, err := d.ReadDir(limit)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return found, err
}
