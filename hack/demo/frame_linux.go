package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// frame prints what a user sees; on a terminal in place of the last frame.
func (d *demo) frame(ctx context.Context) error {
	out, err := d.plane.RunKubectl(ctx, "get", "portpressures")
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	if d.live {
		width, _, err := term.GetSize(int(os.Stdout.Fd()))
		if err != nil {
			return err
		}
		lines = cut(lines, width)
		if d.drawn > 0 {
			fmt.Printf("\x1b[%dA\x1b[J", d.drawn)
		}
	}
	d.drawn = 1 + len(lines)
	fmt.Printf("%3.0f s  kubectl get portpressures\n%s\n", time.Since(d.begin).Seconds(), strings.Join(lines, "\n"))
	return nil
}
