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
	// maxEntries limits one read of the directory: far above the containers of any node.
	maxEntries = 20000
	// readPause is the time before the directory is read again after it did not have a
	// UID: longer than a tick, so that short-lived UIDs without a name (in nested
	// clusters) don't cause a read at each tick.
	readPause = 15 * time.Second
	// maxLinkNameLength is the length at which the kubelet truncates a link's name
	// (ext4MaxFileNameLen, pkg/kubelet/kuberuntime/legacy.go). Without the full container
	// ID the next pod of that name can have the same link.
	maxLinkNameLength = 255
)

// logSource is the Source that reads log directories.
type logSource struct {
	dir fs.FS
	now func() time.Time

	mu       sync.Mutex
	entries  map[string]logEntry // by entry
	pods     map[string]podName  // by UID
	nextRead time.Time           // no read before this time
}

// logEntry is the pod of an entry.
type logEntry struct {
	uid string
	podName
}

// NewLogSource returns a Source that identifies pods by the targets of the kubelet's links
// to the logs of containers. It never follows a link. The kubelet creates a link when it
// has started a container (startContainer,
// pkg/kubelet/kuberuntime/kuberuntime_container.go): a pod is known from the start of its
// first container, init containers included, until the last of them is removed. root may
// also contain pods' log directories, as /var/log/pods does.
//
// root is read only to look up an unknown UID, at most every 15 s while one remains
// unknown: so a name can appear up to 15 s after its link.
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

// readDir reads the directory and returns the pod with that UID. If the read fails, the
// known pods are kept.
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

// parseEntries returns the pods of directory entries. It doesn't parse known entries again.
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

// parseDirEntry returns the pod of one entry.
func (l *logSource) parseDirEntry(e fs.DirEntry) (uid string, p podName, ok bool) {
	switch e.Type() {
	case fs.ModeDir:
		return parseEntry(e.Name())
	case fs.ModeSymlink:
		if target, err := fs.ReadLink(l.dir, e.Name()); err == nil { // else it was removed
			return parseLinkTarget(target)
		}
	}
	return "", podName{}, false
}

// indexByUID returns the pods of a directory by UID, without UIDs that have two names.
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

// listEntries returns the entries of a directory.
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

// readEntries returns up to limit entries of an open directory. An empty directory is
// not an error.
func readEntries(d fs.ReadDirFile, limit int) ([]fs.DirEntry, error) {
	found, err := d.ReadDir(limit)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return found, err
}
