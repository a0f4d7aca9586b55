package main

import (
	"context"

	"portreeve.io/portreeve/agent/selftest"
	"portreeve.io/portreeve/agent/socket"
)

func selfTests() error { return nil }

func (t *selfTester) ask(ctx context.Context, s *socket.Sample) []selftest.Check {
	return selftest.Run(ctx, s, selftest.Options{TimeWait: t.timeWait, Write: t.write})
}
