package portwalk

import (
	"fmt"

	"portreeve.io/portreeve/agent/readers/netns"
)

// ReadOwners returns the network namespaces with their owners, for callers that can't
// wait for the next sample. It walks only the namespaces and the processes, which takes
// about 0.1 ms. Path is empty.
func (r *Reader) ReadOwners() ([]netns.Namespace, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.resetCounts(); err != nil {
		return nil, err
	}
	if err := runProgram(r.objects.WalkNets); err != nil {
		return nil, err
	}
	if err := runProgram(r.objects.WalkTasks); err != nil {
		return nil, err
	}
	var t walkTally
	if err := r.readNetRecords(&t); err != nil {
		return nil, err
	}
	if err := checkNetnsFound(len(r.records)); err != nil {
		return nil, err
	}
	by, err := r.owners.readOwners(r.objects.Tasks, r.records, &t, r.generation)
	if err != nil {
		return nil, fmt.Errorf("read the processes: %w", err)
	}
	out := make([]netns.Namespace, 0, len(r.records))
	for i := range r.records {
		inode := uint64(r.records[i].Inum)
		out = append(out, netns.Namespace{Inode: inode, Cookie: selectRealCookie(r.records[i].Cookie), Owner: by[inode]})
	}
	return out, nil
}

// noCookie is the BPF program's NO_COOKIE. It marks the number that the program uses in
// place of a cookie.
const noCookie = 1 << 63

// selectRealCookie returns a namespace's cookie (SO_NETNS_COOKIE), 0 on a kernel without
// cookies (before Linux 5.12).
func selectRealCookie(cookie uint64) uint64 {
	if cookie&noCookie != 0 {
		return 0
	}
	return cookie
}
