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

const wideFormat = "wide"

// outputFlags is the flag -o: "" and wide print text, every other value prints objects
// as kubectl does.
type outputFlags struct{ *genericclioptions.PrintFlags }

func addOutputFlags(c *cobra.Command) outputFlags {
	o := outputFlags{genericclioptions.NewPrintFlags("")}
	o.AddFlags(c)
	flag := c.Flags().Lookup("output")
	flag.Usage = "Output format: wide for more columns, or the objects as " + strings.Join(o.AllowedFormats(), ", ")
	completions := []string{wideFormat, "json", "yaml", "name"}
	_ = c.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions(completions, cobra.ShellCompDirectiveNoFileComp))
	return o
}

// newPrinter returns a printer of objects, or nil if text was requested.
func (o outputFlags) newPrinter() (printers.ResourcePrinter, error) {
	if format := *o.OutputFormat; format == "" && *o.TemplatePrinterFlags.TemplateArgument == "" || format == wideFormat {
		return nil, nil
	}
	p, err := o.ToPrinter()
	if genericclioptions.IsNoCompatiblePrinterError(err) {
		formats := append([]string{wideFormat}, o.AllowedFormats()...)
		slices.Sort(formats)
		return nil, usagef("-o %q: must be one of %s", *o.OutputFormat, strings.Join(formats, ", "))
	}
	if err != nil {
		return nil, usageError{err}
	}
	return p, nil
}

func (o outputFlags) isWide() bool { return *o.OutputFormat == wideFormat }

// makeList returns objects as the List that kubectl prints.
func makeList(objects []*unstructured.Unstructured) runtime.Object {
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion("v1")
	list.SetKind("List")
	for _, o := range objects {
		list.Items = append(list.Items, *o)
	}
	return list
}

// detectOptions returns what the terminal can show, and its height, 0 if there is none.
// The width is that of the terminal, else COLUMNS, else defaultWidth.
func (a *app) detectOptions(o outputFlags, defaultWidth int) (options view.Options, height int) {
	options = view.Options{Now: a.now(), Wide: o.isWide()}
	options.Width, _ = strconv.Atoi(a.getenv("COLUMNS"))
	options.ASCII = !terminal.IsUTF8Locale(a.getenv)
	if f, ok := a.Out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		options.Colour = a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb" // https://no-color.org
		if w, h, err := term.GetSize(int(f.Fd())); err == nil {
			options.Width, height = w, h
		}
	}
	if options.Width <= 0 {
		options.Width = defaultWidth
	}
	if options.Wide && defaultWidth == unlimitedWidth {
		options.Width = unlimitedWidth
	}
	return options, height
}

// The default widths of tables and of prose, in columns.
const (
	unlimitedWidth = 1000
	proseWidth     = 80
)

func (a *app) printText(text string) error {
	_, err := a.Out.Write([]byte(text))
	return err
}
