package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// printFrame prints the output of kubectl get portpressures. On a terminal it replaces the
// last frame.
func (d *demo) printFrame(ctx context.Context) error {
	out, err := d.cluster.RunKubectl(ctx, "get", "portpressures")
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	if d.isTerminal {
		width, _, err := term.GetSize(int(os.Stdout.Fd()))
		if err != nil {
			return err
		}
		lines = truncateLines(lines, width)
		if d.frameLines > 0 {
			fmt.Printf("\x1b[%dA\x1b[J", d.frameLines)
		}
	}
	d.frameLines = 1 + len(lines)
	fmt.Printf("%3.0f s  kubectl get portpressures\n%s\n", time.Since(d.started).Seconds(), strings.Join(lines, "\n"))
	return nil
}
