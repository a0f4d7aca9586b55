package sockdiag

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/socket"
)

func TestABrokenDescriptorIsReportedOnceAndReopened(t *testing.T) {
	r, err := Open(Options{OwnOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sample := func() socket.Sample {
		t.Helper()
		s, err := r.Sample(context.Background(), socket.Request{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := sample()
	if len(before.Networks) != 1 {
		t.Fatalf("%d networks, want 1: %v", len(before.Networks), before.Unobserved)
	}
	for _, s := range r.handles {
		if err := unix.Close(s.netlink); err != nil {
			t.Fatal(err)
		}
		s.netlink = -1
	}
	broken := sample()
	want := append(before.Unobserved, socket.Unobserved{
		Item: fmt.Sprintf("net:[%d]", before.Networks[0].Inode), Reason: "send a netlink request: bad file descriptor"})
	if diff := cmp.Diff(want, broken.Unobserved); diff != "" || len(broken.Networks) != 0 {
		t.Errorf("%d networks, want 0\n%s", len(broken.Networks), diff)
	}
	after := sample()
	if diff := cmp.Diff(before.Unobserved, after.Unobserved); diff != "" || len(after.Networks) != 1 {
		t.Errorf("%d networks, want 1\n%s", len(after.Networks), diff)
	}
}

func TestReasonsAreListedOnceEachAndAreBounded(t *testing.T) {
	var r failureReasons
	for i := range 3 {
		r.addFailure(netns.Namespace{Inode: uint64(1 + i)}, fmt.Errorf("setns to net:[%d]: %w", 1+i, unix.EPERM))
	}
	r.addFailure(netns.Namespace{Inode: 4}, fmt.Errorf("open: %w", unix.EMFILE))
	want := []socket.Unobserved{
		{Item: "3 network namespaces, for example net:[1]", Reason: "permission denied; entering a namespace needs SYS_ADMIN and SYS_PTRACE"},
		{Item: "net:[4]", Reason: "too many open files; raise the limit (ulimit -n)"},
	}
	if diff := cmp.Diff(want, r.listUnobserved()); diff != "" {
		t.Error(diff)
	}
	for i := range 20 {
		r.addFailure(netns.Namespace{Inode: uint64(10 + i)}, errors.New(fmt.Sprint("reason ", i)))
	}
	got := r.listUnobserved()
	if len(got) != maxReasons {
		t.Fatalf("%d entries, want %d", len(got), maxReasons)
	}
	last := socket.Unobserved{Item: "15 network namespaces, for example net:[15]", Reason: "various reasons, most recently: reason 19"}
	if diff := cmp.Diff(last, got[maxReasons-1]); diff != "" {
		t.Error(diff)
	}
}
