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
	// maxLinkNameLength is where the kubelet cuts a link's name (ext4MaxFileNameLen,
	// pkg/kubelet/kuberuntime/legacy.go). Without the whole of the container's ID
	// the next pod of that name can have the same link.
	maxLinkNameLength = 255
)

// logSource is the Source made of log directories.
type logSource struct {
	dir fs.FS
	now func() time.Time

	mu    sync.Mutex
	entries map[string]logEntry // by entry
	pods  map[string]podName    // by UID
	nextRead time.Time         // no reading before
}

// logEntry is the pod of an entry.
type logEntry struct {
	uid string
	podName
}

// NewLogSource knows pods by the kubelet's links to the logs of containers, of which it
// reads where they point to and follows none. The kubelet makes a link when it
// has started a container (startContainer, pkg/kubelet/kuberuntime/kuberuntime_container.go):
// a pod is known only once its first container, init containers included, has
// started, and until the last of them is removed. root may also have the
// directories that the links point into, as /var/log/pods has.
//
// root is read only when a UID is asked for that isn't known. While one isn't,
// that is every 15 s, so a name can come so much later than its link.
func NewLogSource(root string) Source {
	return &logSource{dir: os.DirFS(root), now: time.Now}
}

func (l *logSource) LookupPod(uid string) (namespace, name string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.pods[uid]
	if !ok && !l.now().Before(l.nextRead) {
		p, ok = l.readDir(uid)
	}
	return p.namespace, p.name, ok
}

// readDir reads the directory for the sake of uid. What was known before stays
// when that fails.
func (l *logSource) readDir(uid string) (podName, bool) {
	if found, err := listEntries(l.dir); err == nil {
		l.entries = l.parseEntries(found)
		l.pods = indexByUID(l.entries)
	}
	p, ok := l.pods[uid]
	if !ok {
		l.nextRead = l.now().Add(readPause)
	}
	return p, ok
}

// parseEntries is the pods of entries. An entry that is known is not looked at again.
func (l *logSource) parseEntries(found []fs.DirEntry) map[string]logEntry {
	pods := make(map[string]logEntry, len(found))
	for _, e := range found {
		p, ok := l.entries[e.Name()]
		if !ok || len(e.Name()) >= maxLinkNameLength {
			p.uid, p.podName, ok = l.parseDirEntry(e)
		}
		if ok {
			pods[e.Name()] = p
		}
	}
	return pods
}

// parseDirEntry is the pod of one entry.
func (l *logSource) parseDirEntry(e fs.DirEntry) (uid string, p podName, ok bool) {
	switch e.Type() {
	case fs.ModeDir:
		return parseEntry(e.Name())
	case fs.ModeSymlink:
		if target, err := fs.ReadLink(l.dir, e.Name()); err == nil { // else it is gone
			return parseLinkTarget(target)
		}
	}
	return "", podName{}, false
}

// indexByUID is the pods of a directory. A UID with two names belongs to neither.
func indexByUID(known map[string]logEntry) map[string]podName {
	pods := make(map[string]podName, len(known))
	for _, e := range known {
		if p, twice := pods[e.uid]; twice && p != e.podName {
			e.podName = podName{}
		}
		pods[e.uid] = e.podName
	}
	for uid, p := range pods {
		if p == (podName{}) {
			delete(pods, uid)
		}
	}
	return pods
}

// listEntries is the entries of a directory.
func listEntries(dir fs.FS) ([]fs.DirEntry, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return readEntries(d, maxEntries)
}

// readEntries is up to limit entries of an open directory; none is no error.
func readEntries(d fs.ReadDirFile, limit int) ([]fs.DirEntry, error) {
	found, err := d.ReadDir(limit)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return found, err
}
