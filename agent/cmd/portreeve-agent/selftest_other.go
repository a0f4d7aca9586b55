//go:build !windows

package main

import (
	"context"
	"fmt"
	"runtime"

	"portreeve.io/portreeve/agent/selftest"
	"portreeve.io/portreeve/agent/socket"
)

// checkSelfTestSupport returns an error: the self-test needs Windows.
func checkSelfTestSupport() error {
	return fmt.Errorf("selftest is for Windows only, and this is %s: use report instead", runtime.GOOS)
}

func (t *selfTester) runChecks(context.Context, *socket.Sample) []selftest.Check { return nil }
