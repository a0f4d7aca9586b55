package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// held is a setting that is to stay as it is.
type held struct {
	what, want string
	file       *os.File
}

// ranges are the ranges of nodes and of their carts, which are the NodeTuning's.
func (c cluster) ranges(t *testing.T, nodes ...string) (all []held) {
	t.Helper()
	for _, node := range nodes {
		all = append(all, held{"the range of node " + node, wideRange, c.host(t, node).open(t, portRange)},
			held{"the range of " + cartOf(node), wideRange, c.pod(t, cartOf(node)).open(t, portRange)})
	}
	return all
}

// steadily looks at settings some hundred times a second while fn runs: they may have no
// other value, not for a moment.
func steadily(t *testing.T, all []held, fn func()) {
	t.Helper()
	quit, looked := make(chan struct{}), make(chan string)
	go func() {
		n, begin := 0, time.Now()
		for {
			for _, h := range all {
				if problem := h.look(); problem != "" {
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

// look says what is not as it should be.
func (h held) look() string {
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
