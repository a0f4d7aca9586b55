// Package agent measures the ephemeral ports of one machine.
package agent

import (
	"context"

	"portreeve.io/portreeve/agent/socket"
)

// Reader reads the kernel's socket tables. A Reader is not safe for concurrent use;
// samples of the same Reader share no memory.
type Reader interface {
	Sample(context.Context, socket.Request) (socket.Sample, error)
	Close() error
}
