package main

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// comment is a Go comment taken apart.
type comment struct {
	text    string
	markers []string // without the +
}

// field is one field of a struct as it is in JSON.
type field struct {
	name     string
	typ      ast.Expr
	optional bool
	comment
}

// value is one constant.
type value struct{ value, text string }

// named is one type of the package.
type named struct {
	name   string
	typ    ast.Expr
	fields []field // of structs
	values []value // of strings
	comment
}

// group is constants without a type that are declared together.
type group struct {
	file   string
	text   string
	values []value
}

// read parses the package in dir.
func read(dir string) (types map[string]named, groups []group, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, nil, err
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, p := range paths {
		if strings.HasSuffix(p, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, p, nil, parser.ParseComments)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, f)
	}
	d, err := doc.NewFromFiles(set, files, dir, doc.PreserveAST)
	if err != nil {
		return nil, nil, err
	}
	types = map[string]named{}
	for _, t := range d.Types {
		types[t.Name] = readType(t)
	}
	inlineMaps(types)
	for _, c := range d.Consts {
		groups = append(groups, group{filepath.Base(set.Position(c.Decl.Pos()).Filename), unwrap(c.Doc), readValues(c)})
	}
	return types, groups, nil
}

// inlineMaps gives each field whose type is a named map the map and its markers instead.
func inlineMaps(types map[string]named) {
	for _, t := range types {
		for i, f := range t.fields {
			if m := types[base(f.typ)]; isMap(m.typ) {
				t.fields[i].typ, t.fields[i].markers = m.typ, append(f.markers, m.markers...)
			}
		}
	}
}

func isMap(e ast.Expr) bool {
	_, ok := e.(*ast.MapType)
	return ok
}

func readType(t *doc.Type) named {
	n := named{name: t.Name, comment: split(t.Doc)}
	for _, spec := range t.Decl.Specs {
		s, ok := spec.(*ast.TypeSpec)
		if !ok || s.Name.Name != t.Name {
			continue
		}
		n.typ = s.Type
		if body, ok := s.Type.(*ast.StructType); ok {
			n.fields = readFields(body)
		}
	}
	for _, c := range t.Consts {
		n.values = append(n.values, readValues(c)...)
	}
	return n
}

func readFields(body *ast.StructType) (fields []field) {
	for _, f := range body.Fields.List {
		if f.Tag == nil || len(f.Names) != 1 {
			continue // TypeMeta and ObjectMeta
		}
		tag, err := strconv.Unquote(f.Tag.Value)
		if err != nil {
			continue
		}
		name, options, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
		c := split(raw(f.Doc))
		fields = append(fields, field{name, f.Type, strings.Contains(options, "omit") || c.has("optional"), c})
	}
	return fields
}

func readValues(c *doc.Value) (values []value) {
	for _, spec := range c.Decl.Specs {
		s, ok := spec.(*ast.ValueSpec)
		if !ok || len(s.Values) != 1 {
			continue
		}
		literal, ok := s.Values[0].(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			continue
		}
		text := unwrap(raw(s.Doc) + raw(s.Comment))
		// "Name: what it is" is said of the Go name; the value stands before it here.
		if name, rest, ok := strings.Cut(text, ": "); ok && name == s.Names[0].Name {
			text = rest
		}
		values = append(values, value{strings.Trim(literal.Value, `"`), text})
	}
	return values
}

// raw is a comment without its slashes.
func raw(g *ast.CommentGroup) string {
	if g == nil {
		return ""
	}
	var b strings.Builder
	for _, line := range g.List {
		b.WriteString(strings.TrimPrefix(strings.TrimPrefix(line.Text, "//"), " ") + "\n")
	}
	return b.String()
}

func split(text string) (c comment) {
	var words []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if marker, ok := strings.CutPrefix(line, "+"); ok {
			c.markers = append(c.markers, marker)
		} else {
			words = append(words, line)
		}
	}
	c.text = unwrap(strings.Join(words, "\n"))
	return c
}

var blank = regexp.MustCompile(`\n\s*\n`)

// unwrap puts each paragraph on one line.
func unwrap(text string) string {
	var paragraphs []string
	for _, p := range blank.Split(strings.TrimSpace(text), -1) {
		paragraphs = append(paragraphs, strings.Join(strings.Fields(p), " "))
	}
	return strings.Join(paragraphs, "\n\n")
}

func (c comment) has(marker string) bool {
	_, ok := c.marker(marker)
	return ok
}

// marker is what comes after the = of a marker.
func (c comment) marker(name string) (string, bool) {
	for _, m := range c.markers {
		if key, rest, _ := strings.Cut(m, "="); key == name {
			return rest, true
		}
	}
	return "", false
}

// options are the name=value pairs of the first marker of that name.
func (c comment) options(name string) map[string]string {
	for _, m := range c.markers {
		if is := options(m, name); is != nil {
			return is
		}
	}
	return nil
}

var option = regexp.MustCompile(`(\w+)=(?:"((?:[^"\\]|\\.)*)"|(\w+))`)

// options are the name=value pairs of a marker, nil if it has another name.
func options(marker, name string) map[string]string {
	rest, ok := strings.CutPrefix(marker, name+":")
	if !ok {
		return nil
	}
	is := map[string]string{}
	for _, pair := range option.FindAllStringSubmatch(rest, -1) {
		is[pair[1]] = pair[2] + pair[3]
	}
	return is
}
