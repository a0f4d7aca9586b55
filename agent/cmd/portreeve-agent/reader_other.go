//go:build !linux && !windows

package main

var openers []readerOpener

func checkProc(string) error { return nil }
