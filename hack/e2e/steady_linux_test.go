package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// expectedSetting is a setting that is to stay as it is.
type expectedSetting struct {
	what, want string
	file       *os.File
}

// listWideRanges are the ranges of nodes and of their carts, which are the NodeTuning's.
func (c cluster) listWideRanges(t *testing.T, nodes ...string) (all []expectedSetting) {
	t.Helper()
	for _, node := range nodes {
		all = append(all, expectedSetting{"the range of node " + node, wideRange, c.nodeNetwork(t, node).openSysctl(t, portRange)},
			expectedSetting{"the range of " + cartName(node), wideRange, c.podNetwork(t, cartName(node)).openSysctl(t, portRange)})
	}
	return all
}

// requireUnchanged looks at settings some hundred times a second while fn runs: they may have no
// other value, not for a moment.
func requireUnchanged(t *testing.T, all []expectedSetting, fn func()) {
	t.Helper()
	quit, looked := make(chan struct{}), make(chan string)
	go func() {
		n, begin := 0, time.Now()
		for {
			for _, h := range all {
				if problem := h.checkValue(); problem != "" {
					looked <- fmt.Sprintf("after %v %s", time.Since(begin), problem)
					return
				}
			}
			n++
			select {
			case <-quit:
				t.Logf("%d settings were looked at %d times in %v", len(all), n, time.Since(begin))
				looked <- ""
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	defer func() { // fn may end the test
		close(quit)
		if problem := <-looked; problem != "" {
			t.Error(problem)
		}
	}()
	fn()
}

// checkValue says what is not as it should be.
func (h expectedSetting) checkValue() string {
	buf := make([]byte, 64)
	n, err := h.file.ReadAt(buf, 0)
	have := strings.Join(strings.Fields(string(buf[:n])), " ")
	if n == 0 {
		return fmt.Sprintf("%s can't be read: %v", h.what, err)
	}
	if have != h.want {
		return fmt.Sprintf("%s is %q, want %q", h.what, have, h.want)
	}
	return ""
}
