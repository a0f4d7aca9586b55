package main

import (
	"encoding/json"
	"io"

	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/pressuretext"
	"portreeve.io/portreeve/internal/terminal"
)

// printer prints one object after the other; more is how many pools past the
// line it leaves out.
type printer interface {
	printObject(object v1alpha1.PortPressure, more int) error
}

// newPrinter prints as output says. many says that there may be several objects,
// redraw that on a terminal each takes the place of the one before it.
func newPrinter(a *app, output string, many, redraw bool) printer {
	switch output {
	case "json":
		return &jsonPrinter{a.stdout, many}
	case "yaml":
		return &yamlPrinter{out: a.stdout, isMultiple: many}
	}
	return &tablePrinter{screen: newScreen(a.stdout, a.getenv), redraw: redraw}
}

// jsonPrinter prints an object for people, or many, one on each line.
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

// yamlPrinter prints documents, many of them each with its "---".
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

// tablePrinter prints tables, drawn over each other on a terminal where that is
// asked for, and else separated.
type tablePrinter struct {
	screen
	redraw     bool
	hasPrinted bool
}

func (p *tablePrinter) printObject(object v1alpha1.PortPressure, more int) error {
	width, height := p.readSize()
	b := terminal.NewBuilder(terminal.Options{Width: width, Colour: p.hasColour, ASCII: p.isASCII})
	pressuretext.Write(b, object, more)
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
