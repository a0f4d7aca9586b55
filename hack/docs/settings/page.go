package main

import (
	"cmp"
	"fmt"
	"strings"

	"portreeve.io/portreeve/internal/settings"
)

const head = `# Settings

<!-- Made by "go run ./hack/docs/settings"; change internal/settings instead. -->

The settings that Portreeve knows: the values that it takes, which are fewer than the
operating system's, what each does, and what it does not. *Whose* says where there is one of
them: in each network namespace (so that pods have their own, and do not inherit the node's),
in the node's network only, or once for the machine. A default that is missing depends on the
machine.

A [NodeTuning](nodetuning.md) asks for them: [config/samples](../../config/samples) has some to
start from, and ` + "`portreeve-agent convert /etc/sysctl.conf`" + ` makes one of what is set there now,
and says what it left out and why.
`

// formatPage is docs/reference/settings.md.
func formatPage() string {
	var b strings.Builder
	b.WriteString(head)
	for _, os := range []struct {
		os    settings.OS
		title string
	}{{settings.Linux, "Linux"}, {settings.Windows, "Windows"}} {
		fmt.Fprintf(&b, "\n## %s\n", os.title)
		for _, s := range settings.All() {
			if s.OS == os.os {
				b.WriteString(formatSection(s))
			}
		}
	}
	return b.String()
}

func formatSection(s settings.Setting) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### `%s`\n\n%s", s.Key, s.Description)
	if s.Caution != "" {
		fmt.Fprintf(&b, " **But:** %s", s.Caution)
	}
	fmt.Fprintf(&b, "\n\n| field | allowed | default | whose | works | since | source |\n|---|---|---|---|---|---|---|\n")
	fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", formatField(s), escapeCell(s.Value.DescribeAllowed()), formatCode(s.Default), s.Namespacing, s.Effect,
		cmp.Or(s.Since, "always"), escapeCell(s.Source))
	return b.String()
}

// formatField is where a NodeTuning's spec has the setting.
func formatField(s settings.Setting) string {
	return formatCode(cmp.Or(s.Field, fmt.Sprintf("linux.sysctls[%q]", s.Key)))
}

func formatCode(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

func escapeCell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
