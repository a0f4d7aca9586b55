package main

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// commentDoc is a parsed Go comment.
type commentDoc struct {
	text    string
	markers []string // without the +
}

// fieldDoc is a struct field as represented in JSON.
type fieldDoc struct {
	name     string
	typ      ast.Expr
	optional bool
	commentDoc
}

// constDoc is a constant.
type constDoc struct{ value, text string }

// typeDoc is a type of the package.
type typeDoc struct {
	name   string
	typ    ast.Expr
	fields []fieldDoc // of structs
	values []constDoc // of strings
	commentDoc
}

// constGroup is a group of untyped constants declared together.
type constGroup struct {
	file   string
	text   string
	values []constDoc
}

// readPackage parses the package in dir.
func readPackage(dir string) (types map[string]typeDoc, groups []constGroup, err error) {
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
	types = map[string]typeDoc{}
	for _, t := range d.Types {
		types[t.Name] = readType(t)
	}
	inlineMaps(types)
	for _, c := range d.Consts {
		groups = append(groups, constGroup{file: filepath.Base(set.Position(c.Decl.Pos()).Filename), text: unwrapParagraphs(c.Doc), values: readValues(c)})
	}
	return types, groups, nil
}

// inlineMaps gives each field whose type is a named map the map and its markers instead.
func inlineMaps(types map[string]typeDoc) {
	for _, t := range types {
		for i, f := range t.fields {
			if m := types[elementTypeName(f.typ)]; isMap(m.typ) {
				t.fields[i].typ, t.fields[i].markers = m.typ, slices.Concat(f.markers, m.markers)
			}
		}
	}
}

func isMap(e ast.Expr) bool {
	_, ok := e.(*ast.MapType)
	return ok
}

func readType(t *doc.Type) typeDoc {
	n := typeDoc{name: t.Name, commentDoc: parseComment(t.Doc)}
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

func readFields(body *ast.StructType) (fields []fieldDoc) {
	for _, f := range body.Fields.List {
		if f.Tag == nil || len(f.Names) != 1 {
			continue // TypeMeta and ObjectMeta
		}
		tag, err := strconv.Unquote(f.Tag.Value)
		if err != nil {
			continue
		}
		name, options, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
		c := parseComment(stripSlashes(f.Doc))
		fields = append(fields, fieldDoc{name: name, typ: f.Type, optional: strings.Contains(options, "omit") || c.hasMarker("optional"), commentDoc: c})
	}
	return fields
}

func readValues(c *doc.Value) (values []constDoc) {
	for _, spec := range c.Decl.Specs {
		s, ok := spec.(*ast.ValueSpec)
		if !ok || len(s.Values) != 1 {
			continue
		}
		literal, ok := s.Values[0].(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			continue
		}
		text := unwrapParagraphs(stripSlashes(s.Doc) + stripSlashes(s.Comment))
		// The table shows the value instead of the Go name.
		text = strings.TrimPrefix(text, s.Names[0].Name+" means that ")
		values = append(values, constDoc{strings.Trim(literal.Value, `"`), text})
	}
	return values
}

// stripSlashes returns the text of a comment without slashes.
func stripSlashes(g *ast.CommentGroup) string {
	if g == nil {
		return ""
	}
	var b strings.Builder
	for _, line := range g.List {
		b.WriteString(strings.TrimPrefix(strings.TrimPrefix(line.Text, "//"), " ") + "\n")
	}
	return b.String()
}

func parseComment(text string) (c commentDoc) {
	var words []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if marker, ok := strings.CutPrefix(line, "+"); ok {
			c.markers = append(c.markers, marker)
		} else {
			words = append(words, line)
		}
	}
	c.text = unwrapParagraphs(strings.Join(words, "\n"))
	return c
}

var blankLinePattern = regexp.MustCompile(`\n\s*\n`)

// unwrapParagraphs joins the lines of each paragraph.
func unwrapParagraphs(text string) string {
	var paragraphs []string
	for _, p := range blankLinePattern.Split(strings.TrimSpace(text), -1) {
		paragraphs = append(paragraphs, strings.Join(strings.Fields(p), " "))
	}
	return strings.Join(paragraphs, "\n\n")
}

func (c commentDoc) hasMarker(marker string) bool {
	_, ok := c.findMarker(marker)
	return ok
}

// findMarker returns the value of a marker and whether it exists.
func (c commentDoc) findMarker(name string) (string, bool) {
	for _, m := range c.markers {
		if key, rest, _ := strings.Cut(m, "="); key == name {
			return rest, true
		}
	}
	return "", false
}

// findOptions returns the name=value pairs of the first marker with that name.
func (c commentDoc) findOptions(name string) map[string]string {
	for _, m := range c.markers {
		if is := parseOptions(m, name); is != nil {
			return is
		}
	}
	return nil
}

var optionPattern = regexp.MustCompile(`(\w+)=(?:"((?:[^"\\]|\\.)*)"|(\w+))`)

// parseOptions returns the name=value pairs of a marker, or nil if it has another name.
func parseOptions(marker, name string) map[string]string {
	rest, ok := strings.CutPrefix(marker, name+":")
	if !ok {
		return nil
	}
	is := map[string]string{}
	for _, pair := range optionPattern.FindAllStringSubmatch(rest, -1) {
		is[pair[1]] = pair[2] + pair[3]
	}
	return is
}
