package windows

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"portreeve.io/portreeve/internal/settings"
)

// RegistryValue is a registry value and its type, for example REG_DWORD. Number is the value
// if it has that type, nil otherwise.
type RegistryValue struct {
	Name, Type string
	Number     *uint32
}

// AuditFinding is a registry value without the effect that it seems to have.
type AuditFinding struct{ Name, Why string }

// AuditValues finds the values of TCP/IP's registry key that Windows ignores or interprets
// differently although they look useful: legacy values, known ones of another type or out of
// their range, and misspelled names. It ignores all others.
func AuditValues(values []RegistryValue) (found []AuditFinding) {
	for _, v := range values {
		if why := explainNoEffect(v); why != "" {
			found = append(found, AuditFinding{v.Name, "present, no effect on this build: " + why})
		} else if why := judgeNumber(v); why != "" {
			found = append(found, AuditFinding{v.Name, why})
		}
	}
	slices.SortFunc(found, func(a, b AuditFinding) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// judgeNumber returns what is wrong with the number of a known value, or "".
func judgeNumber(v RegistryValue) string {
	i := slices.IndexFunc(settings.ListTcpipNames(), func(name string) bool { return strings.EqualFold(name, v.Name) })
	if i < 0 || v.Number == nil {
		return ""
	}
	key := settings.TcpipParameters + settings.ListTcpipNames()[i]
	s, _ := settings.Lookup(settings.Windows, key)
	if s.CheckValue(fmt.Sprint(*v.Number)) == nil {
		if key == settings.KeyMaxUserPort {
			return fmt.Sprintf("present: Windows 10, Server 2016 and later interpret it as the last port, so the range is 1024-%d; remove it and use windows.dynamicPorts", *v.Number)
		}
		return ""
	}
	why := fmt.Sprintf("present, but %d (0x%x) is out of its range, %s, so Windows may ignore it", *v.Number, *v.Number, s.Value.DescribeAllowed())
	if digits := fmt.Sprintf("%x", *v.Number); s.CheckValue(digits) == nil {
		n, _ := strconv.ParseUint(digits, 10, 32) // CheckValue has accepted it
		why += fmt.Sprintf("; %s seems to be meant as a decimal number, which is 0x%x", digits, n)
	}
	return why
}

func explainNoEffect(v RegistryValue) string {
	near := ""
	for _, name := range settings.ListTcpipNames() {
		why := settings.ExplainLegacy(name)
		switch d := computeDistance(strings.ToLower(v.Name), strings.ToLower(name)); {
		case d == 0 && why != "":
			return why
		case d == 0 && v.Type != "REG_DWORD":
			return fmt.Sprintf("its type is %s, and must be REG_DWORD", v.Type)
		case d == 0:
			return ""
		case d <= 2 && why == "":
			near = name
		}
	}
	if near != "" {
		return "no such value exists; " + near + " may be meant"
	}
	return ""
}

// computeDistance returns the Levenshtein distance of a and b: the number of letters to
// insert, delete or change.
func computeDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner = row[j+1]
			row[j+1] = min(cost, corner+1, row[j]+1)
		}
	}
	return row[len(b)]
}
