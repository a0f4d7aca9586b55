package windows

import (
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/internal/settings"
)

// RegistryValue is a value of the registry by its name and its type, such as REG_DWORD.
type RegistryValue struct{ Name, Type string }

// AuditFinding is a value that somebody has set in vain.
type AuditFinding struct{ Name, Why string }

// AuditValues finds, among the values of TCP/IP's key, those that people set by old advice or
// by mistake and that Windows ignores: legacy ones, known ones of another type, and
// names that nearly are one. It leaves every other value alone.
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
	for _, name := range settings.TcpipNames() {
		why := settings.Legacy(name)
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

// computeDistance is Levenshtein's: how many letters of a have to be put in, taken out or
// changed to make b.
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
