package main

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"

	"golang.org/x/term"

	"portreeve.io/portreeve/controllers/internal/view"
	"portreeve.io/portreeve/internal/terminal"
)

const wide = "wide"

// output is the flag -o: "" and wide are pages for people, the rest kubectl's own.
type output struct{ *genericclioptions.PrintFlags }

func addOutput(c *cobra.Command) output {
	o := output{genericclioptions.NewPrintFlags("")}
	o.AddFlags(c)
	flag := c.Flags().Lookup("output")
	flag.Usage = "How to print: wide for more columns, or the objects themselves: " + strings.Join(o.AllowedFormats(), ", ")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{wide, "json", "yaml", "name"}, cobra.ShellCompDirectiveNoFileComp))
	return o
}

// printer prints objects; nil where a page is asked for.
func (o output) printer() (printers.ResourcePrinter, error) {
	if format := *o.OutputFormat; format == "" && *o.TemplatePrinterFlags.TemplateArgument == "" || format == wide {
		return nil, nil
	}
	p, err := o.ToPrinter()
	if genericclioptions.IsNoCompatiblePrinterError(err) {
		formats := append([]string{wide}, o.AllowedFormats()...)
		slices.Sort(formats)
		return nil, usagef("-o %q: one of %s", *o.OutputFormat, strings.Join(formats, ", "))
	}
	if err != nil {
		return nil, usageError{err}
	}
	return p, nil
}

func (o output) wide() bool { return *o.OutputFormat == wide }

// asList is objects as kubectl prints several.
func asList(objects []*unstructured.Unstructured) runtime.Object {
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion("v1")
	list.SetKind("List")
	for _, o := range objects {
		list.Items = append(list.Items, *o)
	}
	return list
}

// page is what the terminal can show. Where there is none, nothing is cut unless
// COLUMNS says so; prose is as wide as narrow says.
func (a *app) page(o output, narrow int) (options view.Options, height int) {
	options = view.Options{Now: a.now(), Wide: o.wide()}
	options.Width, _ = strconv.Atoi(a.getenv("COLUMNS"))
	options.ASCII = !terminal.UTF8(a.getenv)
	if f, ok := a.Out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		options.Colour = a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb" // https://no-color.org
		if w, h, err := term.GetSize(int(f.Fd())); err == nil {
			options.Width, height = w, h
		}
	}
	if options.Width <= 0 {
		options.Width = narrow
	}
	if options.Wide && narrow == unlimited {
		options.Width = unlimited
	}
	return options, height
}

// Columns of pages that nobody limits.
const (
	unlimited = 1000
	prose     = 80
)

func (a *app) print(page string) error {
	_, err := a.Out.Write([]byte(page))
	return err
}
