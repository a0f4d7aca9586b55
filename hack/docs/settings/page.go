package main

import (
	"cmp"
	"fmt"
	"strings"

	"portreeve.io/portreeve/hack/docs/part"
	"portreeve.io/portreeve/internal/settings"
)

const head = `# Settings

<!-- Made by "go run ./hack/docs/settings"; change internal/settings instead. -->

The settings that Portreeve supports, with their effects, limits and allowed values, which are
narrower than the operating system's. *Scope* is the number of instances of a setting: one in
each network namespace (pods then have their own, and do not inherit the node's), one in the
node's network namespace only, or one for the machine. Where the default is empty, it depends on
the machine.

A [NodeTuning](nodetuning.md) sets them. [config/samples](../../config/samples) has examples, and
` + "`portreeve-agent convert`" + ` converts the sysctls of existing files, scripts and manifests to
NodeTunings, and reports which ones it left out and why.
`

// formatPage returns docs/reference/settings.md.
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
		fmt.Fprintf(&b, " **Caution:** %s", s.Caution)
	}
	fmt.Fprintf(&b, "\n\n| field | allowed | default | scope | takes effect | since | source |\n|---|---|---|---|---|---|---|\n")
	fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", formatField(s), part.EscapeCell(s.Value.DescribeAllowed()), formatCode(s.Default), s.Namespacing, s.Effect,
		cmp.Or(s.Since, "all versions"), part.EscapeCell(s.Source))
	return b.String()
}

// formatField returns the path of the setting in a NodeTuning's spec.
func formatField(s settings.Setting) string {
	return formatCode(cmp.Or(s.Field, fmt.Sprintf("linux.sysctls[%q]", s.Key)))
}

func formatCode(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}
