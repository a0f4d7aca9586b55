//go:build !linux

package main

var openers []opener

func checkProc(string) error { return nil }
