package podname

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

const (
	// maxEntries bounds a reading: far above the pods of any node.
	maxEntries = 20000
	// readPause is how long a UID that the directory doesn't have keeps it from
	// being read again: longer than a tick, so that UIDs which come and go without
	// a name (nested clusters have them) cost no reading per tick.
	readPause = 15 * time.Second
)

// logs is the Source made of log directories.
type logs struct {
	list func() ([]string, error)
	now  func() time.Time

	mu    sync.Mutex
	pods  map[string]pod
	pause time.Time // no reading before
}

// Logs knows pods by the names of the kubelet's log directories in root. The
// kubelet makes a pod's directory before its network namespace
// (createPodSandbox, pkg/kubelet/kuberuntime/kuberuntime_sandbox.go), so that a
// new pod is known at once. root is read only when a UID is asked for that
// isn't known, and then at most every 15 s until it is.
func Logs(root string) Source {
	return &logs{list: func() ([]string, error) { return list(root) }, now: time.Now}
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
	if names, err := l.list(); err == nil {
		l.pods = parseEntries(names)
	}
	p, ok := l.pods[uid]
	if !ok {
		l.pause = l.now().Add(readPause)
	}
	return p, ok
}

// parseEntries is the pods of a directory by UID. A UID with two names belongs
// to neither.
func parseEntries(names []string) map[string]pod {
	pods := make(map[string]pod, len(names))
	for _, entry := range names {
		uid, p, ok := parseEntry(entry)
		if !ok {
			continue
		}
		if _, twice := pods[uid]; twice {
			p = pod{}
		}
		pods[uid] = p
	}
	for uid, p := range pods {
		if p == (pod{}) {
			delete(pods, uid)
		}
	}
	return pods
}

// list is the names in a directory.
func list(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return entries(d, maxEntries)
}

// entries is up to limit names of an open directory; none is no error.
func entries(d *os.File, limit int) ([]string, error) {
	names, err := d.Readdirnames(limit)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}
