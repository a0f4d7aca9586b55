package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/agent/tuning/sysctlconf"
	"portreeve.io/portreeve/api/v1alpha1"
)

// converter is the command that converts sysctl files to a NodeTuning.
type converter struct {
	*app
	name  objectNameFlag
	nodes labelSelectorFlag
}

const convertHelp = `Print a NodeTuning with the settings of sysctl files: /etc/sysctl.conf and those of
sysctl.d. List them in the order in which they are applied: the last line of a key
counts.

Keys that Portreeve does not support are dropped, with the reason on standard error.
Remove the converted lines from the files on the nodes, or two programs set the same keys.`

const convertExample = `  portreeve-agent convert /etc/sysctl.d/*.conf /etc/sysctl.conf >tuning.yaml
  ssh node-7 cat /etc/sysctl.conf | portreeve-agent convert --name gateways --nodes pool=gateways - | kubectl apply -f -`

func (a *app) newConvertCommand() *cobra.Command {
	v := &converter{app: a, name: "sysctl-conf", nodes: "kubernetes.io/os=linux"}
	c := &cobra.Command{
		Use:     "convert FILE...",
		Short:   "Print a NodeTuning with the settings of sysctl files",
		Long:    convertHelp,
		Example: convertExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return newUsageErrorf("convert needs a file, or - for standard input")
			}
			return nil
		},
		RunE: func(c *cobra.Command, files []string) error { return v.convertFiles(c.Context(), files) },
	}
	f := c.Flags()
	f.SortFlags = false
	f.Var(&v.name, "name", "name of the NodeTuning")
	f.Var(&v.nodes, "nodes", "label selector of the nodes")
	return c
}

func (v *converter) convertFiles(ctx context.Context, files []string) error {
	var lines []sysctlconf.Line
	for _, file := range files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		text, err := v.readInput(file)
		if err != nil {
			return fmt.Errorf("%s: %w", formatFileName(file), err)
		}
		lines = append(lines, sysctlconf.ParseFile(formatFileName(file), text)...)
	}
	result, err := sysctlconf.ConvertLines(lines)
	if err != nil {
		return err
	}
	for _, message := range result.Messages {
		fmt.Fprintln(v.stderr, message)
	}
	if result.Kept == 0 {
		return fmt.Errorf("no supported setting in %d lines: see docs/reference/settings.md", len(lines))
	}
	return v.printNodeTuning(result.Spec)
}

// maxInputSize is larger than any sysctl file.
const maxInputSize = 1 << 20

func (v *converter) readInput(file string) ([]byte, error) {
	in, _, err := v.openInput(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxInputSize+1))
	if err == nil && len(text) > maxInputSize {
		err = errors.New("larger than 1 MiB: not a sysctl file")
	}
	return text, err
}

func (v *converter) printNodeTuning(spec v1alpha1.NodeTuningSpec) error {
	selected, err := metav1.ParseToLabelSelector(string(v.nodes))
	if err != nil {
		return err // checked when the flag was set
	}
	spec.NodeSelector = selected
	object := v1alpha1.NodeTuning{Spec: spec}
	object.APIVersion, object.Kind = v1alpha1.GroupVersion.String(), "NodeTuning"
	object.Name = string(v.name)
	text, err := yaml.Marshal(object)
	if err != nil {
		return err
	}
	_, err = v.stdout.Write(text)
	return err
}

// objectNameFlag is the name of an object.
type objectNameFlag string

func (n *objectNameFlag) String() string { return string(*n) }
func (n *objectNameFlag) Type() string   { return "NAME" }
func (n *objectNameFlag) describeAllowed() string {
	return "lower-case letters, digits, - and ., such as api-gateways"
}

func (n *objectNameFlag) Set(s string) error {
	if len(validation.IsDNS1123Subdomain(s)) > 0 {
		return errNotAllowed
	}
	*n = objectNameFlag(s)
	return nil
}

// labelSelectorFlag is a label selector in kubectl's syntax.
type labelSelectorFlag string

func (l *labelSelectorFlag) String() string { return string(*l) }
func (l *labelSelectorFlag) Type() string   { return "SELECTOR" }
func (l *labelSelectorFlag) describeAllowed() string {
	return "labels, such as pool=gateways,kubernetes.io/os=linux"
}

func (l *labelSelectorFlag) Set(s string) error {
	if _, err := metav1.ParseToLabelSelector(s); err != nil || s == "" {
		return errNotAllowed
	}
	*l = labelSelectorFlag(s)
	return nil
}
