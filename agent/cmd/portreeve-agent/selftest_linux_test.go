package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheSelfTestIsForWindows(t *testing.T) {
	got := runCommand(t.Context(), nil, openers, "selftest")
	want := commandResult{exitFailure, "", "portreeve-agent: selftest is for Windows only, and this is linux: use report instead\n"}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(commandResult{})); diff != "" {
		t.Error(diff)
	}
}
