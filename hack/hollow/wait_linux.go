package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// logProgress prints the progress of the run to standard error.
func logProgress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// awaitCondition calls ok every half second until it returns true, at most for limit.
func awaitCondition(ctx context.Context, what string, limit time.Duration, ok func() (bool, error)) error {
	for end := time.Now().Add(limit); ; {
		done, err := ok()
		if done {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("timed out after %v waiting for %s: %w", limit, what, err)
		}
		if err := sleepContext(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
}

func sleepContext(ctx context.Context, t time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(t):
		return nil
	}
}
