package windows

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// FormatRegFile returns the originals as a file that regedit imports: UTF-16 with a
// byte order mark, with a deletion for each value that did not exist. For the settings
// of netsh it has the restoring commands in comments.
func FormatRegFile(entries []plan.JournalEntry) []byte {
	lines := []string{"Windows Registry Editor Version 5.00", "",
		"; Values from before Portreeve's first write. They take effect after a restart.",
		`[HKEY_LOCAL_MACHINE\` + strings.TrimSuffix(settings.TcpipParameters, `\`) + "]"}
	var commands []string
	slices.SortFunc(entries, func(a, b plan.JournalEntry) int { return strings.Compare(a.Key, b.Key) })
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Key, settings.TcpipParameters); ok {
			lines = append(lines, formatRegValue(name, e.Original))
			continue
		}
		commands = append(commands, formatNetshCommands(e)...)
	}
	if len(commands) > 0 {
		lines = append(lines, "", "; Commands that restore the other settings:")
		lines = append(lines, commands...)
	}
	return encodeUTF16(strings.Join(lines, "\r\n") + "\r\n")
}

// formatRegValue returns the line of a value, or a comment if the original is not a
// number.
func formatRegValue(name, original string) string {
	if original == settings.Unset {
		return strconv.Quote(name) + "=-"
	}
	n, err := strconv.ParseUint(original, 10, 32)
	if err != nil {
		return "; " + name + ": " + settings.TruncateValue(strconv.Quote(original))
	}
	return fmt.Sprintf("%q=dword:%08x", name, n)
}

// formatNetshCommands returns the commands that restore e, as comments.
func formatNetshCommands(e plan.JournalEntry) (lines []string) {
	def, ok := settings.Lookup(settings.Windows, e.Key)
	switch {
	case !ok || len(e.Wrote) == 0:
		return nil
	case e.Key == settings.KeyAutoReusePorts:
		r, _ := settings.ParseBlock(e.Original) // the zero range if there was none
		count := r.Len()
		if r.First == 0 {
			count = 0
		}
		return []string{fmt.Sprintf("; powershell Set-NetTCPSetting -SettingName InternetCustom -AutoReusePortRangeStartPort %d -AutoReusePortRangeNumberOfPorts %d", r.First, count)}
	}
	originals, wrote := def.SplitParts(e.Original), def.SplitParts(e.Wrote[0])
	for i, l := range listPools(e.Key) {
		protocol := strings.ToLower(l.protocol.String())
		if e.Key != settings.KeyExcludedPorts {
			if r, err := settings.ParseBlock(originals[i]); err == nil {
				lines = append(lines, fmt.Sprintf("; netsh int %s set dynamicport %s start=%d num=%d", l.family, protocol, r.First, r.Len()))
			}
			continue
		}
		list, _ := ports.ParseList(wrote[i]) // Portreeve writes only valid lists
		for _, r := range list.ListRanges() {
			lines = append(lines, fmt.Sprintf("; netsh int %s delete excludedportrange protocol=%s startport=%d numberofports=%d store=persistent",
				l.family, protocol, r.First, r.Len()))
		}
	}
	return lines
}

func encodeUTF16(text string) []byte {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(text)) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}
