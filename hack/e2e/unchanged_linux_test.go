package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// expectedSetting is a setting that must keep its value.
type expectedSetting struct {
	what, want string
	file       *os.File
}

// listWideRanges returns the port ranges of nodes and of their carts, as set by the
// NodeTuning.
func (c cluster) listWideRanges(t *testing.T, nodes ...string) (all []expectedSetting) {
	t.Helper()
	for _, node := range nodes {
		all = append(all, expectedSetting{"the range of node " + node, wideRange, c.nodeNetwork(t, node).openSysctl(t, portRange)},
			expectedSetting{"the range of " + cartName(node), wideRange, c.podNetwork(t, cartName(node)).openSysctl(t, portRange)})
	}
	return all
}

// requireUnchanged reads settings some hundred times a second while fn runs, and fails if one
// has another value at any time.
func requireUnchanged(t *testing.T, all []expectedSetting, fn func()) {
	t.Helper()
	quit, result := make(chan struct{}), make(chan string)
	go func() {
		n, begin := 0, time.Now()
		for {
			for _, h := range all {
				if problem := h.checkValue(); problem != "" {
					result <- fmt.Sprintf("after %v %s", time.Since(begin), problem)
					return
				}
			}
			n++
			select {
			case <-quit:
				t.Logf("%d settings were read %d times in %v", len(all), n, time.Since(begin))
				result <- ""
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	defer func() { // fn may end the test
		close(quit)
		if problem := <-result; problem != "" {
			t.Error(problem)
		}
	}()
	fn()
}

// checkValue returns a problem unless the setting has its expected value.
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
