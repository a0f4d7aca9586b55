package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// logProgress tells on standard error how far the run is.
func logProgress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// awaitCondition tries every half second until ok, at most for limit.
func awaitCondition(ctx context.Context, what string, limit time.Duration, ok func() (bool, error)) error {
	for end := time.Now().Add(limit); ; {
		done, err := ok()
		if done {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited %v in vain for %s: %w", limit, what, err)
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
