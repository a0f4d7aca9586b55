package main

import (
	"encoding/json"
	"io"
	"strings"

	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/agent/table"
	"portreeve.io/portreeve/api/v1alpha1"
)

// printer prints one object after the other; more is how many pools past the
// line it leaves out.
type printer interface {
	print(object v1alpha1.PortPressure, more int) error
}

func newPrinter(r *reporter) printer {
	switch r.output.value {
	case "json":
		return &jsonPrinter{r.stdout, r.watch}
	case "yaml":
		return &yamlPrinter{out: r.stdout, watch: r.watch}
	}
	return &tablePrinter{screen: newScreen(r.stdout, r.getenv), watch: r.watch}
}

// jsonPrinter prints an object for people, or in a watch one on each line.
type jsonPrinter struct {
	out   io.Writer
	watch bool
}

func (p *jsonPrinter) print(object v1alpha1.PortPressure, _ int) error {
	e := json.NewEncoder(p.out)
	if !p.watch {
		e.SetIndent("", "  ")
	}
	return e.Encode(object)
}

// yamlPrinter prints documents, in a watch each with its "---".
type yamlPrinter struct {
	out   io.Writer
	watch bool
}

func (p *yamlPrinter) print(object v1alpha1.PortPressure, _ int) error {
	text, err := yaml.Marshal(object)
	if err != nil {
		return err
	}
	if p.watch {
		text = append([]byte("---\n"), text...)
	}
	_, err = p.out.Write(text)
	return err
}

// tablePrinter prints tables; a watch draws them over each other on a terminal,
// and separates them elsewhere.
type tablePrinter struct {
	screen
	watch   bool
	printed bool
}

func (p *tablePrinter) print(object v1alpha1.PortPressure, more int) error {
	var text strings.Builder
	width, height := p.size()
	if err := table.Write(&text, object, table.Options{
		Width: width, Colour: p.colour, ASCII: p.ascii, More: more,
	}); err != nil {
		return err
	}
	frame := text.String()
	switch {
	case p.watch && p.terminal:
		frame = redraw(frame, height, !p.printed)
	case p.printed:
		frame = "---\n" + frame
	}
	p.printed = true
	_, err := io.WriteString(p.out, frame)
	return err
}
