package main

import (
	"context"

	"portreeve.io/portreeve/agent/selftest"
	"portreeve.io/portreeve/agent/socket"
)

func checkSelfTestSupport() error { return nil }

func (t *selfTester) runChecks(ctx context.Context, s *socket.Sample) []selftest.Check {
	return selftest.Run(ctx, s, selftest.Options{TimeWait: t.measureTimeWait, Write: t.testWrite})
}
