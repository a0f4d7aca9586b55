package main

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

const pageHeader = `# %s

<!-- Made by "go run ./hack/docs/api"; change the comments in api/v1alpha1 instead. -->

` + "`portreeve.io/v1alpha1`, %s-scoped, short name `%s`" + `.

%s
`

// renderPage is the reference of a kind of the package in dir: its columns, then every type
// that it leads to, then the constants that have no type.
func renderPage(dir string, k kind) (string, error) {
	types, groups, err := readPackage(dir)
	if err != nil {
		return "", err
	}
	root, ok := types[k.name]
	if !ok {
		return "", fmt.Errorf("%s has no type %s", dir, k.name)
	}
	var b strings.Builder
	resource := root.findOptions("kubebuilder:resource")
	fmt.Fprintf(&b, pageHeader, k.name, strings.ToLower(resource["scope"]), resource["shortName"], root.text)
	writeColumns(&b, root)
	for _, name := range listReachableTypes(types, k.name) {
		writeSection(&b, types, types[name], name == k.name)
	}
	b.WriteString("\n## Names in conditions, labels and Events\n")
	for _, g := range groups {
		if k.includesFile(g.file) {
			writeTable(&b, g.text, g.values)
		}
	}
	return b.String(), nil
}

// writeColumns are those that kubectl get prints.
func writeColumns(b *strings.Builder, t typeDoc) {
	b.WriteString("\n## Columns of kubectl get\n\n| column | field | |\n|---|---|---|\n")
	for _, m := range t.markers {
		is := parseOptions(m, "kubebuilder:printcolumn")
		if is == nil {
			continue
		}
		note := is["description"]
		if is["priority"] == "1" {
			note = strings.TrimSpace("With `-o wide`. " + note)
		}
		fmt.Fprintf(b, "| %s | `%s` | %s |\n", is["name"], strings.ReplaceAll(strings.TrimPrefix(is["JSONPath"], "."), `\\.`, `\.`), note)
	}
}

// listReachableTypes are the types that the root leads to, in the order in which a reader
// meets them.
func listReachableTypes(types map[string]typeDoc, root string) (names []string) {
	var visit func(name string)
	visit = func(name string) {
		if _, ok := types[name]; !ok || slices.Contains(names, name) {
			return
		}
		names = append(names, name)
		for _, f := range types[name].fields {
			visit(elementTypeName(f.typ))
		}
	}
	visit(root)
	return names
}

// elementTypeName is the name of the type itself, without pointers and lists.
func elementTypeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return elementTypeName(e.X)
	case *ast.ArrayType:
		return elementTypeName(e.Elt)
	case *ast.SelectorExpr:
		return elementTypeName(e.X) + "." + e.Sel.Name
	case *ast.MapType:
		return elementTypeName(e.Value)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func writeSection(b *strings.Builder, types map[string]typeDoc, t typeDoc, root bool) {
	fmt.Fprintf(b, "\n## %s\n", t.name)
	if t.fields == nil {
		if len(t.values) == 0 {
			fmt.Fprintf(b, "\n%s\n", t.text)
		}
		writeTable(b, t.text, t.values)
		return
	}
	if !root {
		fmt.Fprintf(b, "\n%s\n", t.text)
	}
	b.WriteString("\n| field | type | |\n|---|---|---|\n")
	for _, f := range t.fields {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.name, describeType(types, f), escapeCell(trimFieldName(f)))
	}
}

// trimFieldName returns the comment of f without the leading field name and "is".
func trimFieldName(f fieldDoc) string {
	text, ok := strings.CutPrefix(f.text, f.name+" ")
	if !ok {
		return f.text
	}
	text = strings.TrimPrefix(text, "is ")
	return strings.ToUpper(text[:1]) + text[1:]
}

func writeTable(b *strings.Builder, text string, values []constDoc) {
	if len(values) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n\n| value | |\n|---|---|\n", text)
	for _, v := range values {
		fmt.Fprintf(b, "| `%s` | %s |\n", v.value, escapeCell(v.text))
	}
}

// escapeCell fits text into a table.
func escapeCell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\n\n", " "), "|", `\|`)
}

// describeType is the type in words, with its bounds.
func describeType(types map[string]typeDoc, f fieldDoc) string {
	text := linkType(types, elementTypeName(f.typ))
	switch f.typ.(type) {
	case *ast.ArrayType:
		text = "list of " + text
	case *ast.MapType:
		text = "map of " + text
	}
	for _, bound := range []struct{ marker, words string }{
		{"kubebuilder:validation:MaxItems", "at most %s"},
		{"kubebuilder:validation:MaxProperties", "at most %s"},
		{"kubebuilder:validation:Enum", "one of %s"},
		{"kubebuilder:validation:MaxLength", "at most %s characters"},
		{"kubebuilder:validation:Minimum", "from %s"},
		{"kubebuilder:validation:Maximum", "to %s"},
	} {
		if limit, ok := f.findMarker(bound.marker); ok {
			text += ", " + fmt.Sprintf(bound.words, strings.ReplaceAll(limit, ";", ", "))
		}
	}
	if !f.optional {
		text += "; required"
	}
	return text
}

const kubernetesAPIDocs = "https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/#"

func linkType(types map[string]typeDoc, name string) string {
	switch name {
	case "metav1.Time":
		return "time (RFC 3339)"
	case "metav1.LabelSelector":
		return "[LabelSelector](" + kubernetesAPIDocs + "labelselector-v1-meta)"
	case "metav1.Condition":
		return "[Condition](" + kubernetesAPIDocs + "condition-v1-meta)"
	case "intstr.IntOrString":
		return "integer or percentage"
	case "int32", "int64":
		return "integer"
	}
	if _, ok := types[name]; ok {
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	}
	return name
}
