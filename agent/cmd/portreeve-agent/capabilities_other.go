//go:build !linux

package main

func raiseCapabilities(bool) error { return nil }
