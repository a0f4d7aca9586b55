package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"portreeve.io/portreeve/agent/socket"
)

// fakeProcfs is a folder that looks like a procfs. Processes that share a namespace are
// hard links.
type fakeProcfs struct {
	t    *testing.T
	root string
}

func newFakeProcfs(t *testing.T, self int) fakeProcfs {
	p := fakeProcfs{t, t.TempDir()}
	p.check(os.Symlink(fmt.Sprint(self), filepath.Join(p.root, "self")))
	return p
}

func (p fakeProcfs) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// addProcess adds a process in the network namespace of the process with, or in a new
// one if with is 0.
func (p fakeProcfs) addProcess(pid int, comm, cgroup string, with int) {
	p.t.Helper()
	dir := filepath.Join(p.root, fmt.Sprint(pid))
	p.check(os.MkdirAll(filepath.Join(dir, "ns"), 0o755))
	net := filepath.Join(dir, "ns/net")
	if with != 0 {
		p.check(os.Link(filepath.Join(p.root, fmt.Sprint(with), "ns/net"), net))
	} else {
		p.check(os.WriteFile(net, nil, 0o644))
	}
	p.check(os.WriteFile(filepath.Join(dir, "ns/pid"), nil, 0o644))
	p.check(os.WriteFile(filepath.Join(dir, "cgroup"), []byte("0::"+cgroup+"\n"), 0o644))
	line := strings.NewReplacer("nginx", comm, "987654", fmt.Sprint(pid)).Replace(stat)
	p.check(os.WriteFile(filepath.Join(dir, "stat"), []byte(fmt.Sprint(pid, " ", line)), 0o644))
}

func (p fakeProcfs) findOwners(f *Finder) (map[string]socket.Owner, []socket.Unobserved) {
	p.t.Helper()
	found, unobserved, err := f.Find()
	p.check(err)
	owners := map[string]socket.Owner{}
	for i, n := range found {
		if ino, err := readInode(n.Path); err != nil || ino != n.Inode || i > 0 && found[i-1].Inode >= ino {
			p.t.Errorf("%+v: its path has inode %d (%v)", n, ino, err)
		}
		name := strings.TrimPrefix(n.Path, p.root)
		if n.IsOwn {
			name += " own"
		}
		owners[name] = n.Owner
	}
	return owners, unobserved
}

func TestFind(t *testing.T) {
	cg := "/kubepods/pod" + uid + "/" + id
	pod := socket.Owner{Kind: socket.OwnerPod, PodUID: uid, Container: id, Process: "api", PID: 20}
	host := socket.Owner{Kind: socket.OwnerHost}
	tests := map[string]struct {
		build      func(fakeProcfs)
		want       map[string]socket.Owner
		unobserved []string
	}{
		"on a node that is a container PID 1 is the node's": {
			build: func(p fakeProcfs) {
				p.addProcess(1, "systemd", "/init.scope", 0)
				p.addProcess(10, "agent", "/system.slice/agent.service", 1)
				p.addProcess(20, "api", cg, 0)
				p.addProcess(21, "worker", cg, 20)
			},
			want: map[string]socket.Owner{"/1/ns/net own": host, "/20/ns/net": pod},
		},
		"in a container PID 1 is not the node's": {
			build: func(p fakeProcfs) {
				p.addProcess(1, "tini", "/", 0)
				p.addProcess(10, "agent", "/", 1)
			},
			want:       map[string]socket.Owner{"/1/ns/net own": {Kind: socket.OwnerProcess, Process: "tini", PID: 1}},
			unobserved: []string{"the node's other network namespaces"},
		},
		"in a pod that shares its PID namespace PID 1 is not the node's": {
			build: func(p fakeProcfs) {
				p.addProcess(1, "pause", "/kubepods/pod"+uid+"/"+id2, 0)
				p.addProcess(10, "agent", cg, 1)
			},
			want: map[string]socket.Owner{"/1/ns/net own": {
				Kind: socket.OwnerPod, PodUID: uid, Container: id, Process: "agent", PID: 10}},
			unobserved: []string{"the node's other network namespaces"},
		},
		"machine-wide settings show that the own namespace is the host's": {
			build: func(p fakeProcfs) {
				p.addProcess(10, "agent", "/", 0)
				p.check(os.MkdirAll(p.root+"/sys/net/ipv4", 0o755))
				p.check(os.WriteFile(p.root+"/sys/net/ipv4/tcp_max_orphans", nil, 0o644))
			},
			want: map[string]socket.Owner{"/10/ns/net own": host},
		},
		"a process that ends after its namespace was read is not an error": {
			build: func(p fakeProcfs) {
				p.addProcess(1, "init", "/init.scope", 0)
				p.addProcess(10, "agent", "/a", 1)
				p.addProcess(20, "api", cg, 0)
				p.check(os.Remove(p.root + "/20/stat"))
			},
			want: map[string]socket.Owner{"/1/ns/net own": host, "/20/ns/net": {Kind: socket.OwnerNone}},
		},
		"entries that are not processes are skipped": {
			build: func(p fakeProcfs) {
				p.addProcess(1, "init", "/init.scope", 0)
				p.addProcess(10, "agent", "/a", 1)
				p.check(os.Mkdir(p.root+"/99", 0o755)) // exited: no ns/net
				p.check(os.WriteFile(p.root+"/meminfo", nil, 0o644))
			},
			want: map[string]socket.Owner{"/1/ns/net own": host},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newFakeProcfs(t, 10)
			test.build(p)
			f, err := NewFinder(p.root, filepath.Join(p.root, "no-such-folder"))
			p.check(err)
			got, unobserved := p.findOwners(f)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			var items []string
			for _, u := range unobserved {
				items = append(items, u.Item)
			}
			if diff := cmp.Diff(test.unobserved, items, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFindReadsAProcessOnce(t *testing.T) {
	p := newFakeProcfs(t, 10)
	p.addProcess(1, "init", "/init.scope", 0)
	p.addProcess(10, "agent", "/a", 1)
	p.addProcess(20, "api", "/kubepods/pod"+uid+"/"+id, 0)
	f, err := NewFinder(p.root, p.root+"/none")
	p.check(err)
	before, _ := p.findOwners(f)
	p.check(os.Remove(p.root + "/20/cgroup")) // reading again would lose the pod
	again, _ := p.findOwners(f)
	if diff := cmp.Diff(before, again); diff != "" {
		t.Error(diff)
	}
	p.addProcess(30, "sidecar", "/kubepods/pod"+uid+"/"+id2, 20) // with a second container it is ambiguous
	after, _ := p.findOwners(f)
	if got := after["/20/ns/net"]; got.PodUID != uid || got.Container != "" {
		t.Errorf("%+v", got)
	}
}

func TestFindWithoutPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("needs to run without root: root may read everything")
	}
	f, err := NewFinder("/proc", "/run/netns")
	if err != nil {
		t.Fatal(err)
	}
	found, unobserved, err := f.Find()
	if err != nil || len(found) == 0 || len(unobserved) == 0 {
		t.Errorf("found %v, unobserved %v, %v: want the own namespace, and the reason why the rest is unobserved", found, unobserved, err)
	}
}

func TestFindReadsTheNamespaceFiles(t *testing.T) {
	p := newFakeProcfs(t, 10)
	p.addProcess(1, "init", "/init.scope", 0)
	p.addProcess(10, "agent", "/a", 1)
	dir := t.TempDir()
	p.check(os.Symlink("/proc/self/ns/net", dir+"/once"))
	p.check(os.Symlink("/proc/self/ns/net", dir+"/twice"))
	p.check(os.Symlink("/proc/self/ns/nowhere", dir+"/gone"))
	p.check(os.WriteFile(dir+"/not-mounted-yet", nil, 0o644))
	f, err := NewFinder(p.root, dir)
	p.check(err)
	found, _, err := f.Find()
	p.check(err)
	ino, err := readInode("/proc/self/ns/net")
	p.check(err)
	for _, n := range found {
		if !n.IsOwn && (n.Inode != ino || n.Owner.Kind != socket.OwnerNone) {
			t.Errorf("%+v", n)
		}
	}
	if len(found) != 2 {
		t.Errorf("found %d namespaces, want 2: %+v", len(found), found)
	}
}

func TestAWrongProcRootIsAClearError(t *testing.T) {
	dir := t.TempDir()
	_, err := NewFinder(dir, "/run/netns")
	if err == nil || !strings.Contains(err.Error(), dir+"/self/ns/net not found; check that "+dir+" is a mounted procfs: ") {
		t.Error(err)
	}
}
