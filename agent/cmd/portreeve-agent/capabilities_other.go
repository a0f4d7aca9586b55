//go:build !linux

package main

func raiseCapabilities() error { return nil }
