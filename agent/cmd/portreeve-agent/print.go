package main

import (
	"encoding/json"
	"io"

	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/pressuretext"
	"portreeve.io/portreeve/internal/terminal"
)

// printer prints objects one by one; unlisted is the number of pools above the warning
// threshold that the object omits.
type printer interface {
	printObject(object v1alpha1.PortPressure, unlisted int) error
}

// newPrinter returns the printer for the value of --output. isMultiple means that there
// may be several objects, redraw that on a terminal each replaces the previous one.
func newPrinter(a *app, output string, isMultiple, redraw bool) printer {
	switch output {
	case "json":
		return &jsonPrinter{a.stdout, isMultiple}
	case "yaml":
		return &yamlPrinter{out: a.stdout, isMultiple: isMultiple}
	}
	return &tablePrinter{screen: newScreen(a.stdout, a.getenv), redraw: redraw}
}

// jsonPrinter prints a single object indented, or several with one per line.
type jsonPrinter struct {
	out        io.Writer
	isMultiple bool
}

func (p *jsonPrinter) printObject(object v1alpha1.PortPressure, _ int) error {
	e := json.NewEncoder(p.out)
	if !p.isMultiple {
		e.SetIndent("", "  ")
	}
	return e.Encode(object)
}

// yamlPrinter prints YAML documents, each preceded by "---" if there are several.
type yamlPrinter struct {
	out        io.Writer
	isMultiple bool
}

func (p *yamlPrinter) printObject(object v1alpha1.PortPressure, _ int) error {
	text, err := yaml.Marshal(object)
	if err != nil {
		return err
	}
	if p.isMultiple {
		text = append([]byte("---\n"), text...)
	}
	_, err = p.out.Write(text)
	return err
}

// tablePrinter prints tables. With redraw on a terminal each replaces the previous one,
// otherwise they are separated.
type tablePrinter struct {
	screen
	redraw     bool
	hasPrinted bool
}

func (p *tablePrinter) printObject(object v1alpha1.PortPressure, unlisted int) error {
	width, height := p.readSize()
	b := terminal.NewBuilder(terminal.Options{Width: width, Colour: p.hasColour, ASCII: p.isASCII})
	pressuretext.Write(b, object, unlisted)
	frame := b.String()
	switch {
	case p.redraw && p.isTerminal:
		frame = terminal.RedrawScreen(frame, height, !p.hasPrinted)
	case p.hasPrinted:
		frame = "---\n" + frame
	}
	p.hasPrinted = true
	_, err := io.WriteString(p.out, frame)
	return err
}
