package kernelstat

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheMemoryLimitIsTheSmallestThatApplies(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  uint64
	}{
		"no cgroup": {map[string]string{}, 0},
		"v2, in a container": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "67108864\n"}, 64 << 20},
		"v2, none": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		"v2, on the host": {map[string]string{
			"proc/self/cgroup":                      "0::/system.slice/agent.service\n",
			"sys/fs/cgroup/system.slice/memory.max": "67108864\n", "sys/fs/cgroup/system.slice/agent.service/memory.max": "max\n"}, 64 << 20},
		"v2, without a cgroup namespace": {map[string]string{
			"proc/self/cgroup": "0::/kubepods/pod1/c\n", "sys/fs/cgroup/memory.max": "134217728\n"}, 128 << 20},
		"v1": {map[string]string{
			"proc/self/cgroup": "12:pids:/x\n4:cpu,memory:/kubepods/pod1\n0::/\n",
			"sys/fs/cgroup/memory/kubepods/pod1/memory.limit_in_bytes": "33554432\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 32 << 20},
		"v1, none": {map[string]string{
			"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"no number": {map[string]string{"proc/self/cgroup": "0::/\n:\n", "sys/fs/cgroup/memory.max": "-1"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range c.files {
				path = filepath.Join(root, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := ReadMemoryLimit(root); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}
