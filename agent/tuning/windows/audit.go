package windows

import (
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/internal/settings"
)

// RegistryValue is the name and type of a registry value. A type is, for example,
// REG_DWORD.
type RegistryValue struct{ Name, Type string }

// AuditFinding is a registry value without effect.
type AuditFinding struct{ Name, Why string }

// AuditValues finds the values of TCP/IP's registry key that Windows ignores although
// they look useful: legacy values, known ones of another type, and misspelled names. It
// ignores all others.
func AuditValues(values []RegistryValue) (found []AuditFinding) {
	for _, v := range values {
		if why := explainNoEffect(v); why != "" {
			found = append(found, AuditFinding{v.Name, "present, no effect on this build: " + why})
		}
	}
	slices.SortFunc(found, func(a, b AuditFinding) int { return strings.Compare(a.Name, b.Name) })
	return found
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
