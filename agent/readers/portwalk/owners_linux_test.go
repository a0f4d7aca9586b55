package portwalk

import (
	"os/exec"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/testutil/netnstest"
)

func TestOwnersEqualThoseOfConcurrentSamples(t *testing.T) {
	r := openReader(t, Options{})
	n := netnstest.New(t)
	n.Start(exec.Command("sleep", "60"))
	var samples sync.WaitGroup
	defer samples.Wait()
	samples.Go(func() {
		for range 5 {
			s, err := r.Sample(t.Context(), socket.Request{})
			if err != nil || findNetwork(&s, n.Inode()) == nil {
				t.Errorf("the namespace is not in a sample: %v", err)
			}
		}
	})
	for range 50 {
		found, err := r.ReadOwners()
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(found, func(ns netns.Namespace) bool { return ns.Inode == n.Inode() })
		if i < 0 || found[i].Cookie == 0 && hasNetnsCookies(n) || found[i].Owner.Kind != socket.OwnerProcess || found[i].Owner.Process != "sleep" {
			t.Fatalf("net:[%d] is missing, or its owner is not sleep: %+v", n.Inode(), found)
		}
	}
	samples.Wait()
	s := takeSample(t, r)
	if got := findNetwork(&s, n.Inode()); got == nil || got.Owner.Process != "sleep" {
		t.Errorf("a sample after ReadOwners has %+v", got)
	}
}

// hasNetnsCookies reports whether the kernel returns a namespace's cookie (Linux 5.14).
func hasNetnsCookies(n *netnstest.Netns) bool {
	var err error
	n.Do(func() {
		var fd int
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		defer unix.Close(fd)
		_, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	})
	return err == nil
}

// BenchmarkOwners measures the cost of finding the owner of a new namespace.
func BenchmarkOwners(b *testing.B) {
	r := openReader(b, Options{})
	for b.Loop() {
		if _, err := r.ReadOwners(); err != nil {
			b.Fatal(err)
		}
	}
}
