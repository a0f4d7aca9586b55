package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheSelfTestIsForWindows(t *testing.T) {
	got := runCommand(t.Context(), nil, openers, "selftest")
	want := commandResult{exitFailure, "", "portreeve-agent: selftest asks what only a Windows machine can tell, and this is linux: report shows what is read here\n"}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(commandResult{})); diff != "" {
		t.Error(diff)
	}
}
