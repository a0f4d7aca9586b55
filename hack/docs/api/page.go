package main

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

const head = `# %s

<!-- Made by "go run ./hack/docs/api"; change the comments in api/v1alpha1 instead. -->

` + "`portreeve.io/v1alpha1`, %s-scoped, short name `%s`" + `.

%s
`

// page is the reference of a kind of the package in dir: its columns, then every type
// that it leads to, then the constants that have no type.
func page(dir string, k kind) (string, error) {
	types, groups, err := read(dir)
	if err != nil {
		return "", err
	}
	root, ok := types[k.name]
	if !ok {
		return "", fmt.Errorf("%s has no type %s", dir, k.name)
	}
	var b strings.Builder
	resource := root.options("kubebuilder:resource")
	fmt.Fprintf(&b, head, k.name, strings.ToLower(resource["scope"]), resource["shortName"], root.text)
	columns(&b, root)
	for _, name := range reachable(types, k.name) {
		section(&b, types, types[name], name == k.name)
	}
	b.WriteString("\n## Names in conditions, labels and Events\n")
	for _, g := range groups {
		if k.has(g.file) {
			table(&b, g.text, g.values)
		}
	}
	return b.String(), nil
}

// columns are those that kubectl get prints.
func columns(b *strings.Builder, t named) {
	b.WriteString("\n## Columns of kubectl get\n\n| column | field | |\n|---|---|---|\n")
	for _, m := range t.markers {
		is := options(m, "kubebuilder:printcolumn")
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

// reachable are the types that the root leads to, in the order in which a reader
// meets them.
func reachable(types map[string]named, root string) (names []string) {
	var visit func(name string)
	visit = func(name string) {
		if _, ok := types[name]; !ok || slices.Contains(names, name) {
			return
		}
		names = append(names, name)
		for _, f := range types[name].fields {
			visit(base(f.typ))
		}
	}
	visit(root)
	return names
}

// base is the name of the type itself, without pointers and lists.
func base(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return base(e.X)
	case *ast.ArrayType:
		return base(e.Elt)
	case *ast.SelectorExpr:
		return base(e.X) + "." + e.Sel.Name
	case *ast.MapType:
		return base(e.Value)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func section(b *strings.Builder, types map[string]named, t named, root bool) {
	fmt.Fprintf(b, "\n## %s\n", t.name)
	if t.fields == nil {
		if len(t.values) == 0 {
			fmt.Fprintf(b, "\n%s\n", t.text)
		}
		table(b, t.text, t.values)
		return
	}
	if !root {
		fmt.Fprintf(b, "\n%s\n", t.text)
	}
	b.WriteString("\n| field | type | |\n|---|---|---|\n")
	for _, f := range t.fields {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.name, typeOf(types, f), cell(sentence(f)))
	}
}

// sentence is the field's comment, which begins with the field's name as Go wants it.
func sentence(f field) string {
	for _, verb := range []string{" is ", " are "} {
		if rest, ok := strings.CutPrefix(f.text, f.name+verb); ok {
			return rest
		}
	}
	return f.text
}

func table(b *strings.Builder, text string, values []value) {
	if len(values) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n\n| value | |\n|---|---|\n", text)
	for _, v := range values {
		fmt.Fprintf(b, "| `%s` | %s |\n", v.value, cell(v.text))
	}
}

// cell fits text into a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\n\n", " "), "|", `\|`)
}

// typeOf is the type in words, with its bounds.
func typeOf(types map[string]named, f field) string {
	text := link(types, base(f.typ))
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
		if limit, ok := f.marker(bound.marker); ok {
			text += ", " + fmt.Sprintf(bound.words, strings.ReplaceAll(limit, ";", ", "))
		}
	}
	if !f.optional {
		text += "; required"
	}
	return text
}

const metaDocs = "https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/#"

func link(types map[string]named, name string) string {
	switch name {
	case "metav1.Time":
		return "time (RFC 3339)"
	case "metav1.LabelSelector":
		return "[LabelSelector](" + metaDocs + "labelselector-v1-meta)"
	case "metav1.Condition":
		return "[Condition](" + metaDocs + "condition-v1-meta)"
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
