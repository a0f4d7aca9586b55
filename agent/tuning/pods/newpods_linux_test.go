package pods

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"portreeve.io/portreeve/agent/readers/netns"
)

// A file that no pod will ever own is looked at rarely.
func TestAStrayFileCostsFewLookUps(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "stray"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		lookUps := 0
		p := &Pods{options: Options{Root: root, Owners: func() ([]netns.Namespace, error) { lookUps++; return nil, nil }}}
		settled := map[string]bool{}
		p.awaitOwners(t.Context(), settled, func() { t.Error("found a pod") })
		if lookUps < 20 || lookUps > 100 || !settled["stray"] {
			t.Errorf("%d look-ups; settled: %v", lookUps, settled)
		}
	})
}
