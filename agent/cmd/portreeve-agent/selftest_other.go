//go:build !windows

package main

import (
	"context"
	"fmt"
	"runtime"

	"portreeve.io/portreeve/agent/selftest"
	"portreeve.io/portreeve/agent/socket"
)

// checkSelfTestSupport says why there are none here.
func checkSelfTestSupport() error {
	return fmt.Errorf("selftest asks what only a Windows machine can tell, and this is %s: report shows what is read here", runtime.GOOS)
}

func (t *selfTester) runChecks(context.Context, *socket.Sample) []selftest.Check { return nil }
